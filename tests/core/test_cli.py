"""The command line: the whole road in one process, honest exit statuses, no tracebacks, runs that survive a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import cli, slot
from core.cli import main
from core.commands.shared import find
from core.commands.use import _places
from core.errors import StoreError
from core.events import Ended, Saved, StepDone, Stop
from core.export import FORMATS, MODEL_FILE
from core.recipe import Recipe
from core.store import Run, RunStore
from core.strategies import STRATEGIES
from core.words import say
from core.workspace import open_workspace

THAW = [sys.executable, "-m", "core.cli"]
FAST = ["--backbone", "thaw-small", "--weights", "random", "--image-size", "32", "--batch-size", "16"]


@pytest.fixture(autouse=True)
def _a_plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, and no thread settings left behind in this process."""
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    for name, value in (
        ("OMP_NUM_THREADS", "1"),
        ("OMP_WAIT_POLICY", "passive"),
        ("GOMP_SPINCOUNT", "0"),
        ("KMP_BLOCKTIME", "0"),
    ):
        monkeypatch.setenv(name, value)


def draw(folder: Path, *, each: int, seed: int = 0, names: tuple[str, ...] = ("Blue", "Green", "Red")) -> Path:
    """A folder of noisy pictures, one colour a class."""
    random = np.random.default_rng(seed)
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = random.integers(0, 120, (36, 40, 3), dtype=np.uint8)
            pixels[..., 2 - place] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One short training from the command line, and what it left."""
    home = tmp_path_factory.mktemp("trained")
    data = draw(home / "data", each=40)
    (data / "Red" / "broken.png").write_bytes(b"no picture")
    report = home / "report.json"
    workspace = home / "workspace"
    status = main(
        [
            "train",
            str(data),
            *FAST,
            "--epochs",
            "2",
            "--name",
            "first",
            "--workspace",
            str(workspace),
            "--report",
            str(report),
        ]
    )
    assert status == 0
    return {"workspace": str(workspace), "data": data, "report": json.loads(report.read_text())}


def last(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_training_writes_a_report_of_everything(trained: dict[str, Any]) -> None:
    found = trained["report"]
    assert found["state"] == "finished"
    assert found["classes"] == ["Blue", "Green", "Red"]
    assert found["splits"] == {"train": 96, "val": 12, "test": 12}
    assert found["parameters"]["trainable"] == found["parameters"]["total"] > 10_000
    assert [epoch["epoch"] for epoch in found["epochs"]] == [1, 2]
    assert found["validation"]["accuracy"] == max(epoch["val_accuracy"] for epoch in found["epochs"])
    assert found["test"]["images"] == 12 == sum(map(sum, found["test"]["confusion"]))
    assert [file["name"] for file in found["skipped_files"]] == ["Red/broken.png"]
    seconds = found["seconds"]
    assert seconds["total"] == pytest.approx(seconds["prepare"] + seconds["train"] + seconds["test"])
    assert found["startup_seconds"] > 0
    recipe = found["recipe"]
    assert (recipe["strategy"], recipe["weights"], recipe["image_size"], recipe["name"]) == ("full", "random", 32, "first")


def test_runs_are_listed_newest_first_in_words_and_as_json(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--workspace", trained["workspace"]]
    assert main(["runs", *where]) == 0
    out, _ = last(capsys)
    assert out[-1].split()[:4] == [trained["report"]["run"], "first", "Finished", "2/2"]
    assert main(["runs", "--json", *where]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[-1]["run"] == trained["report"]["run"]
    assert listed[-1]["state"] == "finished"
    assert listed[-1]["recipe"] == trained["report"]["recipe"]
    assert listed[-1]["test_accuracy"] == trained["report"]["test"]["accuracy"]


def test_a_model_is_measured_on_other_data_whose_classes_are_written_otherwise(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw(tmp_path / "other", each=7, seed=1, names=("BLUE", "green", "Red"))
    report = tmp_path / "e.json"
    assert main(["evaluate", "first", str(data), "--workspace", trained["workspace"], "--report", str(report)]) == 0
    found = json.loads(report.read_text())
    right = sum(one["found"] for one in found["test"]["per_class"])
    assert last(capsys)[0][0].startswith(f"Of 21 images {right} were right")
    assert (found["run"], found["test"]["images"], found["classes"]) == (
        trained["report"]["run"],
        21,
        ["Blue", "Green", "Red"],
    )


def test_images_that_the_model_knows_are_counted_and_said(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, where = tmp_path / "e.json", ["--workspace", trained["workspace"]]
    assert main(["evaluate", "first", str(trained["data"]), *where, "--report", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["known_images"] == {"train": 96, "val": 12, "test": 12}
    assert (found["majority_class"], found["test"]["majority_accuracy"]) == ("Blue", pytest.approx(1 / 3))
    assert last(capsys)[0][1].startswith("The model learned from 108 of these images")
    new = draw(tmp_path / "new", each=5, seed=9)
    assert main(["evaluate", "first", str(new), *where, "--report", str(report)]) == 0
    assert json.loads(report.read_text())["known_images"] == {"train": 0, "val": 0, "test": 0}
    assert last(capsys)[0][1] == ""


@pytest.mark.parametrize(
    ("names", "classes", "expected"),
    [
        (["a", "A"], ["A", "a", "b"], {"a": 1, "A": 0}),
        (["B", "Ä"], ["a", "b", "ä"], {"B": 1, "Ä": 2}),
        (["ab", "c"], ["AB", "Ab"], {}),
    ],
)
def test_classes_that_differ_in_capitals_alone_are_told_apart(
    names: list[str], classes: list[str], expected: dict[str, int]
) -> None:
    assert _places(names, classes) == expected


def test_data_with_classes_that_the_model_does_not_know_are_refused(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw(tmp_path / "strange", each=3, names=("Blue", "Purple"))
    assert main(["evaluate", "first", str(data), "--workspace", trained["workspace"]]) == 1
    assert last(capsys)[1][-2:] == [
        "strange has classes that the model does not know: Purple.",
        "Give data with the model's classes: Blue, Green, Red.",
    ]


def test_images_are_predicted_and_those_that_are_none_are_named(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "words.jpg"
    bad.write_text("words")
    images = [str(trained["data"] / name / "0.png") for name in ("Blue", "Red")]
    where = ["--workspace", trained["workspace"]]
    assert main(["predict", "first", *images, "--json", *where]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["image"] for answer in answers] == images
    for answer in answers:
        assert set(answer["probabilities"]) == {"Blue", "Green", "Red"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
        assert answer["probability"] == max(answer["probabilities"].values()) == answer["probabilities"][answer["class"]]
    assert main(["predict", "first", str(bad), images[0], str(tmp_path / "none.png"), *where]) == 1
    out, err = last(capsys)
    assert [line.split("  ")[0] for line in out] == [images[0]]
    assert "words.jpg" in err[0]
    assert "none.png cannot be read" in err[2]
    assert len(err) == 4


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (["--weights", "typo.pth"], "typo.pth"),
        (["--backbone", "resnet99"], "There is no backbone called resnet99."),
        (["--device", "cuda:77"], "cuda:77"),
    ],
)
def test_what_is_not_there_is_said_before_data_is_read_and_a_run_is_made(
    flags: list[str], cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, workspace = draw(tmp_path / "data", each=3), tmp_path / "w"
    assert main(["train", str(data), *flags, "--workspace", str(workspace)]) == 1
    assert cause in last(capsys)[1][0]
    assert not list((workspace / "datasets").glob("*"))
    assert main(["runs", "--workspace", str(workspace)]) == 0
    assert "No runs yet" in capsys.readouterr().out


def test_an_empty_name_is_no_folder(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--workspace", trained["workspace"]]
    assert main(["train", "", *where]) == 1
    assert "''" in last(capsys)[1][0]
    assert main(["runs", "--workspace", ""]) == 1
    assert "''" in last(capsys)[1][0]
    assert main(["predict", "", "x.png", *where]) == 1
    assert "''" in last(capsys)[1][0]


def test_the_last_run_with_a_model_is_asked_and_not_one_that_failed_after_it(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--workspace", trained["workspace"]]
    with closing(RunStore(open_workspace(Path(trained["workspace"])))) as store:
        later = store.create(Recipe(name="failed later"))
        store.transition(later.id, "running")
        store.append(later.id, [Ended(outcome="failed", code="training.no_device")])
    picture = str(trained["data"] / "Blue" / "0.png")
    assert main(["predict", "last", picture, *where]) == 0
    assert last(capsys)[0][0].startswith(picture)
    assert main(["predict", "failed later", picture, *where]) == 1
    with closing(RunStore(open_workspace(Path(trained["workspace"])))) as store:
        store.delete(later.id)


def test_the_reasons_of_files_that_could_not_be_used_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(7):
        (tmp_path / "data" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "a" / f"{number}.jpg").write_text("words")
    assert main(["train", str(tmp_path / "data"), "--workspace", str(tmp_path / "w")]) == 1
    err = last(capsys)[1]
    assert sum(".jpg" in line for line in err) == 5
    assert err[-1] == "  …"


def test_the_images_of_a_folder_are_predicted_and_one_without_any_is_named(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, bare = tmp_path / "some", tmp_path / "bare"
    for name in ("b/1.png", "A.PNG", ".hidden/2.png", "b/.3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((trained["data"] / "Blue" / "0.png").read_bytes())
    (folder / "words.txt").write_text("words")
    bare.mkdir()
    assert main(["predict", "first", str(folder), str(bare), "--json", "--workspace", trained["workspace"]]) == 1
    said = capsys.readouterr()
    answers = json.loads(said.out)
    assert [answer["image"] for answer in answers] == [str(folder / "A.PNG"), str(folder / "b" / "1.png"), str(bare)]
    assert answers[0]["probabilities"] == answers[1]["probabilities"]
    assert answers[2]["error"]["code"] == "cli.no_images"
    assert f"The folder {bare} holds no images." in said.err


def test_the_weights_of_a_run_are_exported(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.safetensors"
    assert main(["export", "last", "--format", "safetensors", "--out", str(out), "--workspace", trained["workspace"]]) == 0
    assert out.stat().st_size > 40_000
    assert str(out) in last(capsys)[0][0]


def test_a_run_repeats_from_its_report_and_other_settings_go_on_top(trained: dict[str, Any], tmp_path: Path) -> None:
    old, new, workspace = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "w"
    old.write_text(json.dumps(trained["report"]))
    again = ["train", str(trained["data"]), "--recipe", str(old), "--workspace", str(workspace), "--report", str(new)]
    assert main([*again, "--epochs", "1", "--set", "label_smoothing=0.1", "--set", "warmup_epochs=0"]) == 0
    ours, theirs = json.loads(new.read_text())["recipe"], trained["report"]["recipe"]
    assert ours == {**theirs, "epochs": 1, "label_smoothing": 0.1, "warmup_epochs": 0.0}


def test_strategy_and_size_follow_from_what_is_on_this_machine(trained: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    given = ["--backbone", "thaw-small", "--strategy", "head", "--weights", "random", "--augment", "light", "--epochs", "1"]
    assert main(["train", str(trained["data"]), *given, "--workspace", str(tmp_path / "w"), "--report", str(report)]) == 0
    recipe = json.loads(report.read_text())["recipe"]
    assert (recipe["image_size"], recipe["strategy"], recipe["augment"]["flip_horizontal"]) == (96, "head", True)
    found = json.loads(report.read_text())["parameters"]
    assert 0 < found["trainable"] < found["total"] / 10


def test_a_strategy_set_as_a_field_does_what_it_is_called(trained: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    given = [*FAST, "--epochs", "1", "--workspace", str(tmp_path / "w"), "--report", str(report)]
    assert main(["train", str(trained["data"]), *given, "--set", "strategy=head"]) == 0
    found = json.loads(report.read_text())
    assert found["recipe"]["strategy"] == "head"
    assert found["parameters"]["trainable"] == 512 * 3 + 3
    rules = '[{"path": "conv1", "trainable": false}]'
    assert main(["train", str(trained["data"]), *given, "--set", f"rules={rules}"]) == 0
    found = json.loads(report.read_text())
    assert found["recipe"]["strategy"] == "custom"
    assert found["parameters"]["total"] - found["parameters"]["trainable"] == 3 * 64 * 7 * 7


def test_a_recipe_moved_to_another_backbone_takes_its_strategy_along(trained: dict[str, Any], tmp_path: Path) -> None:
    recipe, report = tmp_path / "recipe.json", tmp_path / "r.json"
    rules = [{"path": "", "trainable": False}, {"path": "classifier", "trainable": True}]
    old = {**trained["report"]["recipe"], "backbone": "squeezenet1_1", "strategy": "head", "rules": rules}
    recipe.write_text(json.dumps({**old, "warmup_epochs": 1.5}))
    given = ["--recipe", str(recipe), "--backbone", "thaw-small", "--epochs", "1"]
    where = ["--workspace", str(tmp_path / "w"), "--report", str(report)]
    assert main(["train", str(trained["data"]), *given, *where]) == 0
    found = json.loads(report.read_text())
    assert [(rule["path"], rule["trainable"]) for rule in found["recipe"]["rules"]] == [("", False), ("fc", True)]
    assert found["recipe"]["warmup_epochs"] == 0.5


# --- kills and interruptions


def start(*arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*THAW, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_checkpoint(workspace: str, child: "subprocess.Popen[str] | None" = None) -> str:
    """The run there, once it has saved something."""
    store = RunStore(open_workspace(workspace))
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert child is None or child.poll() is None, child and child.communicate()
            for run in store.runs():
                if any(isinstance(event, Saved) for _, event in store.events(run.id)):
                    return run.id
            time.sleep(0.02)
    finally:
        store.close()
    raise AssertionError("no checkpoint")


def test_a_killed_training_is_listed_with_its_curve_and_resumes_to_the_end(
    tmp_path: Path, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, report = str(tmp_path / "w"), tmp_path / "r.json"
    child = start("train", str(trained["data"]), *FAST, "--epochs", "5", "--workspace", workspace)
    run_id = wait_for_checkpoint(workspace, child)
    child.kill()
    child.communicate()
    assert main(["runs", "--json", "--workspace", workspace]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["run"], listed["state"]) == (run_id, "interrupted")
    store = RunStore(open_workspace(workspace))
    steps = [event.step for _, event in store.events(run_id) if isinstance(event, StepDone)]
    store.close()
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 6
    assert main(["resume", run_id[:20], "--workspace", workspace, "--report", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["state"] == "finished"
    assert [epoch["epoch"] for epoch in found["epochs"]] == [1, 2, 3, 4, 5]
    assert found["test"]["images"] == 12
    capsys.readouterr()
    assert main(["resume", "last", "--workspace", workspace]) == 1
    assert last(capsys)[1] == [
        f"The run {found['name']} is over and cannot go on.",
        "Start a new run with the same settings.",
    ]


def test_ctrl_c_saves_and_says_how_to_go_on(
    tmp_path: Path, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = str(tmp_path / "w")
    before = signal.getsignal(signal.SIGINT)

    def press() -> None:
        wait_for_checkpoint(workspace)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    assert main(["train", str(trained["data"]), *FAST, "--epochs", "500", "--workspace", workspace]) == 130
    finger.join()
    out, err = last(capsys)
    assert signal.getsignal(signal.SIGINT) is before
    store = RunStore(open_workspace(workspace))
    (run,) = store.runs()
    saved = store.last_checkpoint(run.id)
    store.close()
    assert out == []
    assert err[-2:] == [
        "Saving, then ending. Press Ctrl-C again to end at once, without saving.",
        f"{run.name} was interrupted. Go on with: thaw resume {run.id} --workspace {workspace}",
    ]
    assert run.state == "interrupted"
    assert saved is not None
    assert saved.step == run.step


def test_a_size_that_the_backbone_cannot_see_makes_no_run(
    tmp_path: Path, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--workspace", str(tmp_path)]
    assert main(["train", str(trained["data"]), "--backbone", "thaw-small", "--image-size", "20", *where]) == 1
    assert last(capsys)[1][-2].startswith("thaw-small cannot work with images of 20")
    assert main(["runs", *where]) == 0
    assert last(capsys)[0] == ["No runs yet. Start one, for example: thaw train demo:digits"]


def test_a_training_that_is_stopped_before_it_has_a_model_is_no_success(
    tmp_path: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create = RunStore.create

    def created(store: RunStore, recipe: Recipe) -> Run:
        run = create(store, recipe)
        store.send(run.id, Stop())  # as a browser may that sees it waiting
        return run

    monkeypatch.setattr(RunStore, "create", created)
    monkeypatch.setattr("core.drive.LOOK_SECONDS", 0.0)
    assert main(["train", str(trained["data"]), *FAST, "--name", "short", "--workspace", str(tmp_path)]) == 1
    out, err = last(capsys)
    assert out == []
    assert err[-1] == "short was stopped before there was a model to keep. Start a new run with the same settings."


# --- what can go wrong


@pytest.mark.parametrize(
    ("arguments", "status", "cause"),
    [
        (["train"], 2, "the following arguments are required: DATA"),
        (["fly"], 2, "invalid choice: 'fly'"),
        (["train", "x", "--epochs", "many"], 2, "invalid int value: 'many'"),
        (["export", "last"], 2, "--format"),
        (["train", "/nowhere/at/all.zip"], 1, "There is no readable file or folder at /nowhere/at/all.zip."),
        (["train", "demo:dogits"], 1, "demo:dogits"),
        (["train", "demo:digits", "--epochs", "0"], 1, "The setting epochs cannot be 0"),
        (["train", "demo:digits", "--lr", "nan"], 1, "The setting lr cannot be nan; allowed: 0.1, 0.2, …"),
        (["train", "demo:digits", "--recipe", sys.executable], 1, "The recipe is not valid JSON: UTF-8."),
        (["train", "demo:digits", "--set", "speed=9"], 1, "There is no setting called speed."),
        (["train", "demo:digits", "--augment", "wild"], 1, "There is no augmentation preset called wild."),
        (["train", "demo:digits", "--recipe", "none.json"], 1, "The file none.json cannot be read"),
        (["train", "demo:digits", "--report", "/nowhere/r.json"], 1, "The report cannot be written to /nowhere/r.json."),
        (["train", "demo:digits", "--report", "/proc/r.json"], 1, "The report cannot be written to /proc/r.json."),
        (["resume", "last"], 1, "There are no runs in this workspace yet."),
        (["evaluate", "last", "demo:digits"], 1, "There are no runs in this workspace yet."),
        (["export", "last", "--format", "onnx"], 1, "There are no runs in this workspace yet."),
    ],
)
def test_a_refusal_is_two_sentences_and_a_status(
    arguments: list[str], status: int, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if status == 2 else ["--workspace", str(tmp_path)]
    assert main([*arguments, *where]) == status
    out, err = last(capsys)
    assert out == []
    assert len(err) == 2
    assert cause in err[0]
    assert all(line.endswith((".", ")")) for line in err)


def test_a_run_without_a_model_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunStore(open_workspace(tmp_path))
    run = store.create(Recipe(name="young"))
    assert main(["predict", "young", "x.png", "--workspace", str(tmp_path)]) == 1
    assert last(capsys)[1][0] == "The run young has no model yet."
    assert main(["resume", run.id, "--workspace", str(tmp_path)]) == 1
    assert last(capsys)[1][0] == "The run young is already waiting or running."
    assert store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="failed", code="training.device_lost", values={"device": "cuda"})])
    assert main(["export", "young", "--format", "onnx", "--workspace", str(tmp_path)]) == 1
    assert last(capsys)[1][0] == "The run young failed before it had a model."
    store.close()


def test_a_process_outside_shows_no_traceback(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = subprocess.run([*THAW, "runs", "--workspace", str(blocked)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 2)
    assert done.stderr.startswith(f"Thaw cannot write to the workspace folder {blocked}")


def test_what_an_output_cannot_show_becomes_a_mark(tmp_path: Path) -> None:
    store = RunStore(open_workspace(tmp_path))
    store.create(Recipe(name="小狗 one"))
    store.close()
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = [*THAW, "runs", "--workspace", str(tmp_path)]
    done = subprocess.run(told, capture_output=True, text=True, check=False, env=narrow)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?? one" in done.stdout


def test_a_device_that_another_process_trains_on_is_refused_before_a_run_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(open_workspace(tmp_path))
    theirs, mine = store.create(Recipe(name="theirs", device="cpu")), store.create(Recipe(name="mine", device="cpu"))
    store.transition(theirs.id, "running")
    store.transition(mine.id, "running")
    store.append(mine.id, [Ended(outcome="paused")])
    hold = slot.take(store.workspace, "cpu")
    assert hold is not None
    for command in (["train", "demo:digits", "--device", "cpu"], ["resume", "mine"]):
        assert cli.main([*command, "--workspace", str(tmp_path)]) == 1
        assert "The run theirs is training on the device cpu of this workspace." in capsys.readouterr().err
    assert {run.name: run.state for run in store.runs()} == {"theirs": "running", "mine": "paused"}
    hold.release()
    store.close()


@pytest.mark.parametrize("equals", [False, True])
def test_an_unexpected_error_is_in_the_log_and_not_on_the_screen(
    equals: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: RunStore, deleted: bool = False) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(RunStore, "runs", broken)
    where = [f"--workspace={tmp_path}"] if equals else ["--workspace", str(tmp_path)]
    assert main(["runs", *where]) == 1
    log = tmp_path / "log.txt"
    assert last(capsys)[1] == [
        "Something unexpected went wrong in Thaw (ZeroDivisionError).",
        f"The details are in {log}; please report them.",
    ]
    assert "ZeroDivisionError: a defect" in log.read_text()


def test_help_loads_nothing_heavy() -> None:
    script = """
import sys
from core.cli import main
try:
    main(["train", "--help"])
except SystemExit as end:
    print(end.code, [m for m in ("torch", "numpy", "streamlit", "pydantic", "PIL", "tqdm") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert done.stderr == ""


def test_the_thread_environment_stands_before_torch(tmp_path: Path) -> None:
    script = f"""
import os, sys
from core.cli import main
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ["GOMP_SPINCOUNT"], os.environ["OMP_NUM_THREADS"], flush=True)
            os._exit(0)
sys.meta_path.insert(0, Spy())
main(["doctor", "--workspace", {str(tmp_path)!r}])
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=clean)
    spin, threads = done.stdout.split()
    assert spin == "0"
    assert int(threads) >= 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"port": 8501, "address": "127.0.0.1", "device": "auto", "browser": True}),
        (["--port", "9", "--no-browser"], {"port": 9, "address": "127.0.0.1", "device": "auto", "browser": False}),
        (["ui", "--device", "cpu", "--address", "::1"], {"port": 8501, "address": "::1", "device": "cpu", "browser": True}),
        (
            ["ui", "--host", "a.example", "--host", "b.example", "--cert", "c", "--key", "k"],
            {"port": 8501, "address": "127.0.0.1", "device": "auto", "browser": True}
            | {"names": ["a.example", "b.example"], "certificate": ("c", "k")},
        ),
    ],
)
def test_without_a_command_thaw_opens_in_the_browser(
    given: list[str], expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setitem(
        sys.modules, "ui.server", type("server", (), {"serve": staticmethod(lambda **how: asked.update(how) or 7)})
    )
    monkeypatch.setenv("THAW_WORKSPACE", str(tmp_path))
    assert main(given) == 7
    assert asked.pop("workspace") == open_workspace(tmp_path)
    assert asked == {"names": [], "certificate": None} | expected


def test_a_certificate_without_its_key_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--cert", "c.pem", "--workspace", str(tmp_path)]) == 1
    assert "Give both: --cert FILE --key FILE" in capsys.readouterr().err


def test_a_workspace_that_is_served_already_is_not_opened_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunStore(open_workspace(tmp_path))
    store.serve()
    assert main(["ui", "--workspace", str(tmp_path)]) == 1
    assert last(capsys)[1][0] == f"Another Thaw server already works in the workspace {tmp_path}."
    store.close()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "de_DE"}, "en"),
        ({"THAW_LANGUAGE": "zh", "LANG": "C"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_terminal(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("THAW_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.language() == expected


def test_every_command_has_help_in_both_languages() -> None:
    for tongue in ("en", "zh"):
        assert say("cli.help.train", tongue) in cli.parser(tongue).format_help()


def test_the_names_that_the_command_line_takes_are_those_of_the_engine() -> None:
    import core.training

    assert tuple(STRATEGIES) == cli.STRATEGIES
    assert tuple(FORMATS) == cli.FORMATS
    assert core.training.MODEL_FILE == MODEL_FILE


def test_a_run_is_found_by_id_beginning_name_and_last(tmp_path: Path) -> None:
    store = RunStore(open_workspace(tmp_path))
    with pytest.raises(StoreError, match="no runs in this workspace"):
        find(store, "last")
    one, two = store.create(Recipe(name="gentle")), store.create(Recipe(name="bold"))
    assert find(store, "last").id == two.id
    assert find(store, "gentle").id == one.id
    assert find(store, one.id.lower()).id == one.id
    with pytest.raises(StoreError, match="2 runs are meant by 0"):
        find(store, "0")
    with pytest.raises(StoreError, match="no run called ZZZ"):
        find(store, "ZZZ")
    store.close()
