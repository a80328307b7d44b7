"""Two people and a keeper on one server: what the other made is as unknown as what does not exist, in every answer."""

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ui
from core.dataset import import_dataset
from core.errors import AccessError, DataError, StoreError, ThawError
from core.events import Amend, Pause, Stop
from core.gate import Limits, Person
from core.recipe import Recipe
from core.workspace import Workspace
from ui import access as access_module
from ui import outcomes, routes, services
from ui.access import of_request

NO_RUN = "01JCQ8Y5T000000000000000ZZ"


@pytest.fixture
def people(house: Workspace, cheap: None) -> dict[str, Person]:
    accounts = services.access().accounts
    return {name: accounts.add(name, "a long password", admin=name == "keeper") for name in ("ann", "bob", "keeper")}


@pytest.fixture
def be(people: dict[str, Person]) -> Iterator[Callable[[str], Person]]:
    """From now on that person asks."""
    marks = []

    def become(name: str) -> Person:
        marks.append(of_request.set(people[name]))
        return people[name]

    yield become
    for mark in reversed(marks):
        of_request.reset(mark)


@pytest.fixture
def of_ann(be: Callable[[str], Person], pictures: Path, house: Workspace) -> tuple[str, str]:
    """A data set and a run that ann made; now bob asks."""
    be("ann")
    job = services.start_import(upload(house, pictures, people_id()), "flowers", upload=True)
    assert job.wait(60)
    assert job.error is None
    run = services.submit(Recipe(dataset=job.result.id))
    be("bob")
    return job.result.id, run


def people_id() -> str:
    return services.access().owner()


def upload(house: Workspace, pictures: Path, owner: str) -> Path:
    """`pictures` as if they had come through the browser."""
    import shutil

    target = house.uploads / f"{owner}.{'0' * 32}" / "0123456789abcdef" / "flowers"
    shutil.copytree(pictures, target)
    return target


RUN_CALLS: dict[str, Callable[[str], Any]] = {
    "run": services.run,
    "run_state": services.run_state,
    "turn": services.turn,
    "curve": services.curve,
    "readings": lambda run: services.readings(run, 0),
    "run_folder": services.run_folder,
    "amend": lambda run: services.amend(run, Amend(lr=0.1)),
    "resume": services.resume,
    "send": lambda run: services.send(run, Stop()),
    "rename": lambda run: services.rename(run, "mine now"),
    "delete": services.delete,
    "restore": services.restore,
    "move": lambda run: services.move(run, 1),
    "pin": lambda run: services.pin(run, "mine now"),
    "pins": services.pins,
    "unpin": lambda run: services.unpin(run, "kept-00000001.safetensors"),
    "outcomes.run_state": outcomes.run_state,
    "outcomes.resume": outcomes.resume,
    "outcomes.pause": outcomes.pause,
    "outcomes.rename": lambda run: outcomes.rename(run, "mine now"),
    "outcomes.delete": outcomes.delete,
    "outcomes.restore": outcomes.restore,
    "outcomes.predictions": outcomes.predictions,
    "outcomes.predict": lambda run: outcomes.predict(run, [("a.png", b"x")]),
    "outcomes.export": outcomes.export,
    "outcomes.export_job": outcomes.export_job,
    "outcomes.exported": outcomes.exported,
    "outcomes.weights_bytes": outcomes.weights_bytes,
}
DATA_CALLS: dict[str, Callable[[str], Any]] = {
    "picture": lambda one: services.picture(one, "0" * 64),
    "dataset": services.dataset,
    "dataset_if_ready": services.dataset_if_ready,
    "dataset_bytes": services.dataset_bytes,
    "delete_dataset": services.delete_dataset,
    "split_counts": lambda one: services.split_counts(Recipe(dataset=one)),
    "validation_items": lambda one: services.validation_items(Recipe(dataset=one), 9),
    "find_rate": lambda one: services.find_rate(Recipe(dataset=one), None),
    "sweep_rates": lambda one: services.sweep_rates(Recipe(dataset=one)),
    "submit": lambda one: services.submit(Recipe(dataset=one)),
}


def said(call: Callable[[str], Any], what: str) -> tuple[str, str]:
    """Code and sentence of a refusal, without the id itself."""
    with pytest.raises(ThawError) as failure:
        call(what)
    return failure.value.code, str(failure.value).replace(what, "")


def test_anothers_run_is_answered_as_one_that_does_not_exist(of_ann: tuple[str, str]) -> None:
    run, unknown = of_ann[1], ("run.unknown", said(services.run, NO_RUN)[1])
    for name, call in RUN_CALLS.items():
        assert said(call, run) == said(call, NO_RUN) == unknown, name
        assert services.store().run(run).state == "queued", name
        assert services.store().run(run).name != "mine now", name


def test_anothers_data_set_is_answered_as_one_that_does_not_exist(of_ann: tuple[str, str]) -> None:
    unknown = ("dataset.unknown", said(services.dataset, "no-such-set")[1])
    for name, call in DATA_CALLS.items():
        assert said(call, of_ann[0]) == said(call, "no-such-set") == unknown, name


SERVICES = sorted(Path(services.__file__).parent.glob("*.py"))
OUTCOMES = sorted(Path(outcomes.__file__).parent.glob("*.py"))


def test_every_function_that_takes_a_run_is_in_the_list_above() -> None:
    found = set()
    for file, prefix in (*((file, "") for file in SERVICES), *((file, "outcomes.") for file in OUTCOMES)):
        tree = ast.parse(file.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names = {argument.arg for argument in node.args.args}
                if "run_id" in names:
                    found.add(f"{prefix}{node.name}")
    harmless = {"readings_url", "outcomes.download_url", "outcomes.find"}
    assert found - harmless == set(RUN_CALLS)


def test_every_function_that_takes_a_data_set_is_in_the_list_above() -> None:
    found = set()
    for node in [node for file in SERVICES for node in ast.parse(file.read_text("utf-8")).body]:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found |= {node.name} if "dataset_id" in {argument.arg for argument in node.args.args} else set()
    harmless = {"demo_share", "dataset_name", "thumb_url", "forget_pictures", "may_delete_dataset"}
    assert found - harmless == {"picture", "dataset", "dataset_if_ready", "dataset_bytes", "delete_dataset"}


def test_lists_show_what_is_ones_own(of_ann: tuple[str, str], be: Callable[[str], Person]) -> None:
    assert (services.runs(), services.active_runs(), services.dataset_ids(), outcomes.runs()) == ([], (), (), [])
    assert outcomes.find(of_ann[1]) is None
    assert outcomes.count() == 0
    for name in ("ann", "keeper"):
        be(name)
        assert [run.id for run in services.runs()] == [of_ann[1]]
        assert outcomes.count() == 1
        assert services.dataset_ids() == (of_ann[0],)
        assert services.run(of_ann[1]).owner


def test_the_routes_say_404_to_others(
    of_ann: tuple[str, str], knock: Callable[..., Any], be: Callable[[str], Person]
) -> None:
    dataset, run = of_ann
    accounts = services.access().accounts
    (services.store().folder(run) / "test.json").write_text("{}")
    (services.store().folder(run) / "kept-00000001.safetensors").write_bytes(b"x")
    be("ann")
    sha = services.dataset(dataset).items[0].sha256
    paths = [
        f"/api/runs/{run}/curve",
        f"/api/runs/{run}/readings",
        f"/api/download/{run}/test.json",
        f"/api/download/{run}/kept-00000001.safetensors",
        f"/api/thumbs/{dataset}/{sha}",
        f"/api/image/{dataset}/{sha}",
    ]
    for name, status in (("ann", 200), ("bob", 404), ("keeper", 200)):
        cookie = f"thaw-8501={accounts.sign_in(name, 'a long password')[0]}"
        assert [knock(path, cookie=cookie).status for path in paths] == [status] * len(paths), name
    covered = {path.split("/")[2] for path in paths} | {"upload", "health"}  # which speaks of no run
    assert covered == {route.path.split("/")[2] for route in routes.ROUTES if route.path.startswith("/api/")}


def test_two_people_who_bring_the_same_pictures_have_one_set_each(
    of_ann: tuple[str, str], house: Workspace, pictures: Path
) -> None:
    job = services.start_import(upload(house, pictures, people_id()), "flowers", upload=True)
    assert job.wait(60)
    assert job.result.id != of_ann[0]
    services.delete_dataset(job.result.id)
    assert (house.datasets / of_ann[0]).is_dir()


def test_demos_are_everybodys(be: Callable[[str], Person]) -> None:
    be("bob")
    assert services.access().check_dataset("demo:digits") is None
    assert not services.access().may_delete("demo-digits")


def test_a_shared_data_set_can_be_used_and_not_deleted(of_ann: tuple[str, str]) -> None:
    services.access().accounts.give(of_ann[0], "*")
    assert services.dataset(of_ann[0]).name == "flowers"
    assert services.dataset_ids() == (of_ann[0],)
    assert not services.may_delete_dataset(of_ann[0])
    assert said(services.delete_dataset, of_ann[0])[0] == "dataset.unknown"


def test_what_was_there_before_the_accounts_is_the_keepers(
    house: Workspace, pictures: Path, be: Callable[[str], Person]
) -> None:
    before = import_dataset(pictures, house).id
    run = services.store().create(Recipe()).id
    be("bob")
    assert services.dataset_ids() == ()
    assert said(services.run, run)[0] == "run.unknown"
    be("keeper")
    assert services.dataset_ids() == (before,)
    assert services.run(run).id == run


def test_where_nobody_signs_in_nothing_changes(house: Workspace, pictures: Path) -> None:
    dataset = import_dataset(pictures, house).id
    run = services.submit(Recipe(dataset=dataset))
    assert services.run(run).owner == ""
    assert services.keeps()
    assert services.access().person() is None
    services.access().check_weights(str(house.root / "anything.safetensors"))
    assert not (house.root / "audit.jsonl").exists()
    assert not (house.root / "accounts.sqlite").exists()


def test_without_a_session_nothing_is_answered(people: dict[str, Person]) -> None:
    for call in (services.runs, services.active_runs, services.dataset_ids, services.new_ticket, services.keeps):
        with pytest.raises(AccessError) as failure:
            call()
        assert failure.value.code == "gate.sign_in"


def test_drafts_are_ones_own(be: Callable[[str], Person]) -> None:
    be("ann")
    services.keep_draft(Recipe(backbone="resnet18"))
    be("bob")
    assert services.first_draft().backbone == services.FIRST_BACKBONE
    be("ann")
    assert services.first_draft().backbone == "resnet18"


# --- what only keepers may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["bob", "keeper"])
def test_where_people_sign_in_no_folder_of_the_server_is_read_whoever_asks(
    be: Callable[[str], Person], pictures: Path, house: Workspace, who: str
) -> None:
    be(who)
    assert not services.reads_folders()
    for place in (pictures, house.uploads / ".." / ".." / "secret"):
        for upload_said in (False, True):
            with pytest.raises(AccessError) as failure:
                services.start_import(place, "flowers", upload=upload_said)
            assert failure.value.code == "gate.server_folder"


def test_weights_are_uploaded_ones_or_of_an_own_run(of_ann: tuple[str, str], house: Workspace, tmp_path: Path) -> None:
    mine = services.submit(Recipe(dataset="demo:digits"))
    own = services.keep_weights("a.safetensors", b"x")
    for fine in ("pretrained", "bundled", "random", str(own), str(house.runs / mine / "model.safetensors")):
        services.access().check_weights(fine)
    for wrong in (
        tmp_path / "secret.safetensors",
        house.runs / of_ann[1] / "model.safetensors",
        house.weights / "own" / ".." / ".." / "runs" / of_ann[1] / "model.safetensors",
        house.runs / "x" / "model.safetensors",
        house.weights / "own" / "somebody-else" / "a.safetensors",
        Path("~/secret.safetensors"),
        Path("secret.safetensors"),
    ):
        with pytest.raises(AccessError) as failure:
            services.submit(Recipe(dataset="demo:digits", weights=str(wrong)))
        assert failure.value.code == "gate.weights_place", wrong


# --- how much -----------------------------------------------------------------------------------------------------------


def test_so_many_runs_may_wait_for_one_person_and_another_is_not_touched(be: Callable[[str], Person]) -> None:
    services.access().accounts.set_limits(Limits(queued=2))
    be("ann")
    first = [services.submit(Recipe(dataset="demo:digits")) for _ in range(2)]
    with pytest.raises(AccessError, match="already have 2 runs waiting") as failure:
        services.submit(Recipe(dataset="demo:digits"))
    assert failure.value.code == "gate.queue_full"
    services.send(first[0], Pause())
    services.submit(Recipe(dataset="demo:digits"))
    with pytest.raises(AccessError):
        services.resume(first[0])
    be("bob")
    services.submit(Recipe(dataset="demo:digits"))
    be("keeper")
    for _ in range(4):
        services.submit(Recipe(dataset="demo:digits"))


def test_the_queue_goes_by_turns(be: Callable[[str], Person]) -> None:
    be("ann")
    ann = [services.submit(Recipe(dataset="demo:digits")) for _ in range(3)]
    be("bob")
    bob = services.submit(Recipe(dataset="demo:digits"))
    assert services.engine().queue() == (ann[0], bob, ann[1], ann[2])
    assert services.turn(bob).place == 2


def test_who_has_used_their_space_brings_nothing_more(
    of_ann: tuple[str, str], be: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "WEIGHED_SECONDS", 0.0)
    me = be("ann")
    used = services.access().used_bytes()
    assert used > 20_000
    monkeypatch.setattr(
        type(services.access().accounts),
        "limits",
        Limits.model_construct(**Limits().model_dump() | {"disk_bytes": used - 1}),
    )
    for call in (
        lambda: services.submit(Recipe(dataset="demo:digits")),
        lambda: services.keep_weights("a.safetensors", b"x"),
        lambda: services.start_import(services.workspace().uploads / f"{me.id}.x", "x", upload=True),
    ):
        with pytest.raises(AccessError) as failure:
            call()
        assert failure.value.code == "gate.disk"
    be("bob")
    services.access().check_disk(used - 1)
    with pytest.raises(AccessError):
        services.access().check_disk(used)


def test_files_in_flight_and_bytes_that_arrive_are_counted(
    be: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    be("ann")
    access = services.access()
    access.accounts.set_limits(Limits(uploads=2, disk_bytes=2**20))
    with access.upload(0) as first, access.upload(0):
        with pytest.raises(AccessError) as failure, access.upload(0):
            pass
        assert failure.value.code == "upload.gate_many"
        first.more(2**20)
        with pytest.raises(AccessError) as failure:
            first.more(1)
        assert failure.value.code == "gate.disk"
    with pytest.raises(AccessError) as failure, access.upload(2**20):
        pass
    assert failure.value.code == "gate.disk"
    be("bob")
    with access.upload(2**20) as mine:
        mine.more(2**20)


def test_an_upload_that_is_too_much_is_refused_by_the_route_and_leaves_nothing(
    knock: Callable[..., Any], people: dict[str, Person], house: Workspace
) -> None:
    access = services.access()
    access.accounts.set_limits(Limits(disk_bytes=2**20))
    token = access.accounts.sign_in("ann", "a long password")[0]
    ticket = services.tickets().new(people["ann"].id)
    path = "/api/upload?batch=0123456789abcdef&path=a.jpg"
    given = {"cookie": f"thaw-8501={token}", "x_thaw_ticket": ticket}
    assert knock(path, "PUT", body=bytes(1000), **given).status == 201
    for more in ({"content_length": str(2**21)}, {}):
        answer = knock(path.replace("a.jpg", "b.jpg"), "PUT", body=bytes(2**20 + 1), **given, **more)
        assert (answer.status, json.loads(answer.body)) == (413, {"code": "upload.gate_disk"})
    assert [file.name for file in house.uploads.rglob("*") if file.is_file()] == ["a.jpg"]
    other = access.accounts.sign_in("bob", "a long password")[0]
    answer = knock(path, "PUT", body=b"x", cookie=f"thaw-8501={other}", x_thaw_ticket=ticket)
    assert (answer.status, json.loads(answer.body)) == (403, {"code": "upload.ticket"})


# --- who did what -------------------------------------------------------------------------------------------------------


def test_the_log_tells_who_made_and_deleted_what(of_ann: tuple[str, str], be: Callable[[str], Person]) -> None:
    me = be("ann")
    services.send(of_ann[1], Pause())
    services.delete(of_ann[1])
    services.restore(of_ann[1])
    services.delete(of_ann[1])
    services.empty_bin()
    services.delete_dataset(of_ann[0])
    lines = [json.loads(line) for line in (services.workspace().root / "audit.jsonl").read_text("utf-8").splitlines()]
    assert [line["act"] for line in lines] == [
        "dataset_made", "run_made", "run_pause", "run_binned", "run_restored", "run_binned", "bin_emptied",
        "dataset_deleted",
    ]  # fmt: skip
    assert {(line["who"], line["person"]) for line in lines} == {("ann", me.id)}
    assert {line.get("run", of_ann[1]) for line in lines[1:6]} == {of_ann[1]}


def test_the_keepers_bin_is_everybodys_and_a_members_is_their_own(be: Callable[[str], Person]) -> None:
    runs = {}
    for name in ("ann", "bob", "keeper"):
        be(name)
        runs[name] = services.submit(Recipe(dataset="demo:digits"))
        services.send(runs[name], Pause())
        services.delete(runs[name])
    be("bob")
    assert services.empty_bin() == 1
    be("keeper")
    assert services.empty_bin() == 2


# --- what only admins may -----------------------------------------------------------------------------------------------

KEEPERS: dict[str, Callable[[], Any]] = {
    "queue": services.queue,
    "members": services.members,
    "add_member": lambda: services.add_member("eve", admin=True),
    "new_password": lambda: services.new_password("keeper"),
    "set_admin": lambda: services.set_admin("bob", True),
    "remove_member": lambda: services.remove_member("ann"),
    "class_password": lambda: services.class_password(True),
    "set_limits": lambda: services.set_limits(Limits(queued=1000)),
    "log": lambda: services.log(0, 10),
    "restart": services.restart,
}


@pytest.mark.parametrize("name", KEEPERS)
def test_a_member_keeps_nothing(be: Callable[[str], Person], name: str) -> None:
    before = [person.name for person in services.access().accounts.people() if person.admin]
    be("bob")
    with pytest.raises(AccessError) as failure:
        KEEPERS[name]()
    assert failure.value.code == "gate.keepers_only"
    assert [person.name for person in services.access().accounts.people() if person.admin] == before
    assert len(services.access().accounts.people()) == 3
    assert not services.administers()


def test_every_function_for_keepers_is_in_the_list_above() -> None:
    tree = ast.parse((Path(services.__file__).parent / "keeping.py").read_text("utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    assert found - {"administers", "may_restart", "starts_again", "move"} == set(KEEPERS)


def test_a_member_moves_not_even_their_own_run_and_an_admin_everybodys(be: Callable[[str], Person]) -> None:
    runs = {}
    for name in ("ann", "bob"):
        be(name)
        runs[name] = services.submit(Recipe(dataset="demo:digits"))
    with pytest.raises(AccessError) as failure:
        services.move(runs["bob"], -1)
    assert failure.value.code == "gate.keepers_only"
    be("keeper")
    assert [(place.run.id, place.number, place.who) for place in services.queue()] == [
        (runs["ann"], 1, "ann"), (runs["bob"], 2, "bob"),
    ]  # fmt: skip
    services.move(runs["bob"], -1)
    assert services.engine().queue() == (runs["bob"], runs["ann"])
    services.send(runs["ann"], Pause())
    assert [place.run.id for place in services.queue()] == [runs["bob"]]
    acts = [(line["act"], line["who"]) for line in services.log(0, 2)[0]]
    assert acts == [("run_pause", "keeper"), ("run_moved", "keeper")]


def test_what_is_at_work_comes_first_with_its_time(be: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch) -> None:
    be("ann")
    first, second = (services.submit(Recipe(dataset="demo:digits")) for _ in range(2))
    assert services.store().transition(first, "running")
    be("keeper")
    monkeypatch.setattr(services.engine(), "state", lambda run_id: type("Now", (), {"seconds_left": 60.0}))
    assert [(place.run.id, place.number, place.seconds) for place in services.queue()] == [
        (first, 0, 60.0),
        (second, 1, None),
    ]


def test_an_admin_adds_changes_and_removes_people_but_not_themselves(be: Callable[[str], Person]) -> None:
    accounts = services.access().accounts
    me = be("keeper")
    person, password = services.add_member(" Eve ")
    assert accounts.sign_in("eve", password)[1] == person
    new = services.new_password("eve")
    with pytest.raises(AccessError):
        accounts.sign_in("eve", password)
    assert accounts.sign_in("eve", new)[1].id == person.id
    services.set_admin("eve", True)
    assert [one.person.name for one in services.members() if one.person.admin] == ["Eve", "keeper"]
    for call in (lambda: services.set_admin("Keeper", False), lambda: services.remove_member("keeper")):
        with pytest.raises(AccessError) as failure:
            call()
        assert failure.value.code == "gate.yourself"
    services.remove_member("eve")
    assert me in accounts.people()
    assert len(accounts.people()) == 3
    shared = services.class_password(True)
    assert accounts.sign_in("somebody new", shared)[1].own_password is False
    assert services.class_password(False) == ""
    assert not accounts.has_class_password
    services.set_limits(Limits(queued=3))
    assert accounts.limits.queued == 3
    assert [line["act"] for line in services.log(0, 20)[0]] == [
        "limits_changed", "class_password_removed", "class_password_changed", "user_removed", "role_changed",
        "password_changed", "user_added",
    ]  # fmt: skip
    secrets = (password, new, shared)
    assert not [one for one in secrets if one in (services.workspace().root / "audit.jsonl").read_text("utf-8")]


def test_an_admin_sees_what_each_takes_of_the_disk(of_ann: tuple[str, str], be: Callable[[str], Person]) -> None:
    be("keeper")
    used = {member.person.name: (member.used_bytes, member.active) for member in services.members()}
    assert used["ann"][0] > 20_000
    assert (used["ann"][1], used["bob"], used["keeper"]) == (1, (0, 0), (0, 0))
    be("ann")
    assert services.access().used_bytes() == used["ann"][0]


def test_where_nobody_signs_in_the_queue_is_everybodys(house: Workspace) -> None:
    runs = [services.submit(Recipe(dataset="demo:digits")) for _ in range(2)]
    assert [(place.run.id, place.who) for place in services.queue()] == [(run, "") for run in runs]
    services.move(runs[0], 1)
    assert services.engine().queue() == (runs[1], runs[0])
    assert not services.administers()


def test_every_act_of_the_log_has_its_words() -> None:
    from core.words import catalogue

    acts = {f"run_{kind}" for kind in ("stop", "pause", "discard", "pin")}
    root = Path(ui.__file__).parent
    for file in (*root.rglob("*.py"), *(root.parent / "core" / "commands").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"audit", "wrote", "record"}
            ):
                acts |= {
                    one.value
                    for given in node.args[:2]
                    for one in ast.walk(given)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and not isinstance(given, ast.JoinedStr)
                }
    assert len(acts) > 20
    for language in ("en", "zh"):
        assert [act for act in sorted(acts) if f"audit.{act}" not in catalogue(language)] == []


# --- the only door ------------------------------------------------------------------------------------------------------


def test_nobody_but_services_asks_the_store_or_the_engine_or_the_library() -> None:
    wrong = []
    for file in sorted(Path(ui.__file__).parent.rglob("*.py")):
        if file in SERVICES or file.name in {"access.py", "server.py"}:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"store", "engine"}:
                wrong.append(f"{file.name}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module in {"core.dataset", "core.dataset.library", "core.store"}:
                doors = {"open_dataset", "list_datasets", "delete_dataset", "import_dataset", "RunStore"}
                wrong += [f"{file.name}:{node.lineno}" for alias in node.names if alias.name in doors]
    assert wrong == []


def test_errors_of_core_are_the_kinds_that_pages_expect(of_ann: tuple[str, str]) -> None:
    with pytest.raises(StoreError):
        services.run(of_ann[1])
    with pytest.raises(DataError):
        services.dataset(of_ann[0])
