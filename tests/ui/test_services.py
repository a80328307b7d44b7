"""The door to core: what pages ask, answered from a real workspace."""

import threading
from pathlib import Path

import pytest

from core.dataset import Dataset, Unfinished, import_dataset, unfinished
from core.errors import DataError, Interrupted, StoreError, ThawError
from core.recipe import Recipe
from core.workspace import Workspace
from ui import services, warmup


def test_nothing_is_answered_before_it_is_opened() -> None:
    assert not services.is_open()
    with pytest.raises(ThawError) as failure:
        services.workspace()
    assert failure.value.code == "server.not_open"


def test_a_first_draft_needs_no_download_and_no_data(house: Workspace) -> None:
    draft = services.first_draft()
    assert (draft.backbone, draft.weights, draft.dataset) == ("thaw-small", "bundled", "")


def test_the_draft_is_kept_and_a_damaged_one_is_no_harm(house: Workspace) -> None:
    services.keep_draft(Recipe(epochs=77))
    assert services.first_draft().epochs == 77
    (house.root / "draft.json").write_text('{"epochs": -1}')
    assert services.first_draft().epochs == 12


def test_an_import_runs_in_the_background_and_becomes_a_data_set(house: Workspace, pictures: Path) -> None:
    job = services.start_import(pictures, "My flowers")
    assert job.wait(30)
    assert isinstance(job.result, Dataset)
    assert services.dataset_ids() == (job.result.id,)
    assert services.dataset_name(job.result.id) == "My flowers"
    assert (job.done, job.total) == (job.total, job.total)


def test_what_was_uploaded_is_removed_when_it_has_been_imported(house: Workspace, pictures: Path) -> None:
    import shutil

    ticket = house.uploads / "0123456789abcdef"
    shutil.copytree(pictures, ticket / "flowers")
    assert services.start_import(ticket / "flowers", "flowers", upload=True).wait(30)
    assert list(house.uploads.iterdir()) == []
    assert pictures.is_dir()


def test_a_folder_of_the_person_is_never_removed_even_if_it_is_called_an_upload(house: Workspace, pictures: Path) -> None:
    assert services.start_import(pictures, "flowers", upload=True).wait(30)
    assert len(list(pictures.rglob("*.png"))) == 31


def test_an_import_that_cannot_be_carries_its_reason(house: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    job = services.start_import(tmp_path / "empty", "empty")
    assert job.wait(30)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == "data.no_images"


def test_what_the_end_of_a_server_cut_short_the_next_one_goes_on_with(house: Workspace, pictures: Path) -> None:
    import shutil

    source = house.uploads / "0123456789abcdef" / "flowers"
    shutil.copytree(pictures, source)
    for name, owner in (("My flowers", ""), ("Theirs", "nobody who is still here")):
        with pytest.raises(Interrupted):
            import_dataset(source, house, name=name, owner=owner, cancelled=interrupt)
    services.resume_imports()
    job = services.jobs().find("import")
    assert job is not None
    assert job.wait(30)
    assert (job.name, job.error, services.dataset_name(job.result.id)) == ("My flowers", None, "My flowers")
    assert (len(services.dataset_ids()), list(house.uploads.iterdir())) == (1, [])


def interrupt() -> bool:
    raise Interrupted


def test_the_end_of_a_server_leaves_an_upload_to_be_imported_by_the_next(house: Workspace, pictures: Path) -> None:
    import shutil

    source = house.uploads / "0123456789abcdef" / "flowers"
    shutil.copytree(pictures, source)
    job = services.start_import(source, "flowers", upload=True)
    services.jobs().close()
    assert (job.state, len(list(source.rglob("*.png")))) == ("cancelled", 31)
    assert unfinished(house) == (Unfinished(source, "flowers", ""),)


def test_split_counts_add_up_to_the_set(flowers: str) -> None:
    counts = services.split_counts(Recipe(dataset=flowers, val_fraction=0.2, test_fraction=0.1))
    assert {split: sum(by_class.values()) for split, by_class in counts.items()} == {"train": 21, "val": 6, "test": 3}
    assert set(counts["test"].values()) == {1}


def test_a_data_set_that_is_gone_has_no_name_but_an_error(flowers: str) -> None:
    services.delete_dataset(flowers)
    assert services.dataset_name(flowers) == ""
    assert services.dataset_ids() == ()
    with pytest.raises(DataError, match=flowers):
        services.dataset(flowers)


def test_few_sets_are_held_in_memory_and_all_can_be_seen(
    flowers: str, house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.sets, "MOST_SETS", 1)
    first = services.dataset(flowers)
    other = services.dataset("demo:digits")
    assert list(services.house.opened().pictures) == ["demo:digits"]
    assert services.dataset(flowers).items == first.items != other.items


def test_a_demo_is_made_in_the_background(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(dataset_id: str) -> str:
        asked.set()
        go_on.wait(10)
        return "made"

    monkeypatch.setattr(services.sets, "dataset", slow)
    assert services.dataset_if_ready("demo:digits") is None
    assert asked.wait(10)
    go_on.set()
    job = services.jobs().find("demo", "demo:digits")
    assert job is not None
    assert job.wait(10)
    assert job.result == "made"


def test_a_demo_that_cannot_be_made_says_why(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(dataset_id: str) -> None:
        raise DataError("path.missing", path="digits")

    monkeypatch.setattr(services.sets, "dataset", full)
    services.dataset_if_ready("demo:digits")
    job = services.jobs().find("demo", "demo:digits")
    assert job is not None
    assert job.wait(10)
    with pytest.raises(DataError) as failure:
        services.dataset_if_ready("demo:digits")
    assert failure.value.code == "path.missing"


def test_a_demo_waits_for_its_turn_unless_somebody_asked_for_it(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "done", threading.Event())  # the machine stays cold: no turn comes
    services.prepare_demos()
    assert services.dataset_if_ready("demo:digits", at_once=False) is None
    assert services.jobs().find("demo") is None
    assert services.dataset_if_ready("demo:digits") is None
    job = services.jobs().find("demo", "demo:digits")
    assert job is not None
    assert job.wait(60)
    assert services.dataset_if_ready("demo:digits", at_once=False) is not None


def test_a_demo_made_before_is_there_whatever_is_remembered(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    services.dataset("demo:digits")
    services.forget_pictures("demo:digits")
    found = services.dataset_if_ready("demo:digits", at_once=False)
    assert found is not None
    assert found.demo == "digits"
    assert services.jobs().find("demo") is None


def test_thumbs_are_asked_for_by_address(house: Workspace) -> None:
    assert services.thumb_url("demo:digits", "ab" * 32, 96) == f"/api/thumbs/demo%3Adigits/{'ab' * 32}?side=96"


def test_an_answer_is_made_once_and_the_oldest_are_forgotten(house: Workspace) -> None:
    made: list[int] = []
    for number in [*range(services.house.MANY), 0, services.house.MANY]:
        services.remembered(("n", number), lambda number=number: made.append(number))  # type: ignore[misc]
    assert made == list(range(services.house.MANY + 1))
    services.remembered(("n", 0), lambda: made.append(0))
    assert made[-1] == 0


def test_weights_that_came_through_the_browser_lie_there_once(house: Workspace) -> None:
    first = services.keep_weights("my ../model.safetensors", b"tensors")
    assert first == services.keep_weights("my ../model.safetensors", b"tensors")
    assert (first.parent, first.read_bytes()) == (house.weights / "own", b"tensors")
    assert [file.name for file in first.parent.iterdir()] == [first.name]


def test_a_run_is_queued_found_and_told(flowers: str) -> None:
    run_id = services.submit(Recipe(dataset=flowers, name="first"))
    other = services.submit(Recipe(dataset=flowers, name="second"))
    assert [run.name for run in services.active_runs()] == ["first", "second"]
    assert (services.turn(run_id).place, services.turn(other).place) == (1, 2)
    assert services.run(run_id).state == "queued"
    assert services.run_state(run_id).stage == "waiting"
    with pytest.raises(StoreError):
        services.run("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_costs_are_measured_in_the_background_unless_a_run_is_at_work_or_measuring_failed(
    house: Workspace, flowers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core import estimate
    from core.training import costs as measuring
    from ui import warmup

    recipe = Recipe(dataset=flowers, backbone="thaw-small", image_size=32, batch_size=3, device="cpu")
    made, asked = services.tree(recipe), threading.Event()
    monkeypatch.setattr(warmup, "done", threading.Event())
    monkeypatch.setattr(estimate, "_known", {})

    def measure(*_: object) -> estimate.Costs:
        asked.wait(20)
        raise DataError("data.cancelled", name="x")

    monkeypatch.setattr(measuring, "measure_costs", measure)
    assert services.measures(recipe, made)  # as soon as torch is there
    warmup.done.set()
    run = services.submit(recipe)
    store = services.house.opened().store
    assert store.transition(run, "running")
    assert not services.measures(recipe, made)
    assert store.transition(run, "stopped")
    assert services.measures(recipe, made)
    asked.set()
    job = services.jobs().find("costs")
    assert job is not None
    assert job.wait(20)
    assert not services.measures(recipe, made)
    estimate.remember_costs(recipe, estimate.Costs(1, 1, 1, 1, 1))
    assert not services.measures(recipe, made)
