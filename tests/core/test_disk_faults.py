"""Every call that can fail fails once: a save, an import and an append end in our words, and what was there stays whole."""

import errno
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nightly.scene import picture
from core import checkpoint
from core.dataset import Dataset, decide, import_dataset, importing, list_datasets, read_edits
from core.dataset.apart import take_apart
from core.errors import CheckpointError, DataError, StoreError, ThawError
from core.events import StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import Workspace, open_workspace

NUMBERS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR)
CALLS = ((os, "open"), (os, "write"), (os, "fsync"), (os, "replace"), (os, "rename"), (os, "mkdir"), (io, "open"))
Outcome = ThawError | None


def faults(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[Outcome]:
    """What became of `act` (None: it succeeded) with the first call failing, then the second, …, by each error."""
    for number in NUMBERS:
        nth, met = 0, True
        while met:
            nth += 1
            with patch.context() as one:
                counted = fail(one, nth, number)
                try:
                    act()
                    outcome: Outcome = None
                except ThawError as error:
                    outcome = error
            met = counted[0] >= nth
            yield outcome
        assert nth > 3, "nothing was counted"


def fail(patch: pytest.MonkeyPatch, nth: int, number: int) -> list[int]:
    """Let the `nth` call fail from now on; gives how many there were so far. Nothing is flushed: no power is cut here."""
    counted = [0]

    def wrong(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            counted[0] += 1
            if counted[0] == nth:
                raise OSError(number, os.strerror(number))
            return None if call.__name__ == "fsync" else call(*given, **named)

        return counting

    for module, name in CALLS:
        patch.setattr(module, name, wrong(getattr(module, name)))
    patch.setattr(os, "sync", lambda: None, raising=False)
    return counted


def test_a_save_that_fails_anywhere_is_said_and_leaves_older_checkpoints_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = checkpoint.save(tmp_path / checkpoint.free_name(tmp_path, 1), {"step": 1})
    failed = 0
    for error in faults(monkeypatch, lambda: checkpoint.save(tmp_path / checkpoint.free_name(tmp_path, 2), {"step": 2})):
        assert error is None or isinstance(error, CheckpointError)
        failed += error is not None
        assert not list(tmp_path.glob(".*"))
        assert checkpoint.load(tmp_path / old.file, old.sha256)["step"] == 1
        for file in checkpoint.checkpoints(tmp_path):
            assert checkpoint.load(file)["step"] in (1, 2)
        checkpoint.prune(tmp_path, [old.file])
    assert failed > 4 * 10


def test_short_writes_make_the_same_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = checkpoint.save(tmp_path / "a" / "step-00000001.ckpt", {"text": "x" * 5000})
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, data: write(to, bytes(data)[: max(1, len(data) // 2)]))
    assert checkpoint.save(tmp_path / "b" / "step-00000001.ckpt", {"text": "x" * 5000}) == whole
    assert checkpoint.load(tmp_path / "b" / "step-00000001.ckpt")["text"] == "x" * 5000


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Path]:
    """A workspace, and a zip that its reader has read already: what fails is the importing process."""
    source, read = tmp_path / "set.zip", tmp_path / "read"
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(6):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", picture(number % 2, number, 8))
    read.mkdir()
    taken = take_apart(source, read, None, None)
    copy = shutil.copyfile

    def again(_: Path, folder: Path, *__: object) -> object:
        for file in read.glob("*.png"):
            copy(file, folder / file.name)
        return taken

    monkeypatch.setattr(importing, "take_apart", again)
    return open_workspace(tmp_path / "w"), source


def left(workspace: Workspace) -> list[str]:
    return [folder.name for folder in workspace.datasets.iterdir() if folder.name.startswith(".")]


def test_an_import_that_fails_anywhere_is_said_and_leaves_nothing(
    made: tuple[Workspace, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, source = made
    failed = 0
    for error in faults(monkeypatch, lambda: import_dataset(source, workspace)):
        assert left(workspace) == []
        assert error is None or isinstance(error, DataError)
        failed += error is not None
        for there in list_datasets(workspace):  # all of it, though perhaps not acknowledged
            assert [there.path(item).is_file() for item in there.items] == [True] * 6
            shutil.rmtree(there.folder)
    assert failed > 4 * 5


def test_what_a_person_decided_outlives_an_import_that_fails_in_the_middle_of_making_a_set_anew(
    made: tuple[Workspace, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, source = made
    dataset = import_dataset(source, workspace)
    decide(dataset, "ignore", [dataset.items[0].sha256])
    decided = read_edits(dataset.folder)
    assert len(decided) == 1
    spoil(dataset)
    for _ in faults(monkeypatch, lambda: import_dataset(source, workspace)):
        assert read_edits(dataset.folder) == decided
        for name in left(workspace):  # of a set that was put aside and could not be deleted: swept after a week
            shutil.rmtree(workspace.datasets / name)
        spoil(dataset)


def spoil(dataset: Dataset) -> None:
    dataset.path(dataset.items[0]).unlink(missing_ok=True)


def steps(first: int) -> list[StepDone]:
    return [StepDone(step=first + n, epoch=1, loss=1 / (first + n), correct=0, images=1, lr=0.1) for n in range(300)]


def test_a_run_is_made_or_it_is_said_that_it_is_not(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    for error in faults(monkeypatch, lambda: store.create(Recipe())):
        assert error is None or isinstance(error, StoreError)
        told.append(error is None)
        assert len(store.runs()) == sum(told)
    assert True in told
    assert False in told


def test_an_append_that_fails_anywhere_is_said_and_leaves_older_events_whole(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create(Recipe()).id
    store.append(run, steps(1))
    before = store.events(run)
    with monkeypatch.context() as one:
        fail(one, 1, errno.EACCES)
        with pytest.raises(StoreError, match="Permission denied"):
            store.append(run, steps(301))
    assert store.events(run) == before
    resource = pytest.importorskip("resource")
    wal = Path(f"{store.workspace.database}-wal")
    begin, failed = wal.stat().st_size, 0
    for limit in range(begin, begin + 100_000, 500):  # a write that crosses it is short, the next one fails
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            store.append(run, steps(301))
            break
        except StoreError as error:
            failed += error.code == "store.full"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert store.events(run) == before
    assert failed > 5
    store._database.check()
    assert len(store.events(run)) == 600
