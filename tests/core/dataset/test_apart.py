"""Whatever a file does to the process that reads it, the import goes on, says which file it was, and loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core import sandbox
from core.dataset import Dataset, Unfinished, apart, import_dataset, reader, unfinished
from core.errors import DataError, Interrupted
from core.workspace import Workspace

Make = Callable[..., Path]
Pets = Callable[..., dict[str, bytes]]
Picture = Callable[..., bytes]
Evil = Callable[[str], None]

READER = """
import os, sys, time
from core.dataset import reader, taking
honest = taking.inspect
def inspect(data, *, name):
    {body}
    return honest(data, name=name)
taking.inspect = inspect
sys.exit(reader.main(*sys.argv[1:]))
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evil:
    """Readers in which this happens before a picture called `name` is opened."""

    def use(body: str) -> None:
        script = tmp_path / "reader.py"
        script.write_text(READER.format(body=body), "utf-8")
        monkeypatch.setattr(sandbox, "command", lambda module, *more: [sys.executable, str(script), *more])

    return use


def skipped(dataset: Dataset) -> list[tuple[str, str]]:
    return [(left.name, left.code) for left in dataset.skipped]


@pytest.mark.parametrize("end", ["os._exit(9)", "os.kill(os.getpid(), 9)", "bytearray(2**44)", "raise RecursionError"])
def test_files_that_end_the_reader_are_listed_and_all_others_come_in(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, evil: Evil, end: str
) -> None:
    evil(f'if "bomb" in name: {end}')
    bombs = {"cats/bomb.png": picture(70), "dogs/a bomb.png": picture(71)}
    dataset = import_dataset(zipped({**pets(6), **bombs}), workspace)
    assert skipped(dataset) == [(name, "image.reader_died") for name in bombs]
    assert [(item.name, dataset.image(item)) for item in dataset.items] == list(pets(6).items())


def test_a_file_that_never_ends_is_listed(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, evil: Evil, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil('while "slow" in name: pass')
    monkeypatch.setattr(apart, "FILE_SECONDS", 0.5)
    dataset = import_dataset(zipped({**pets(6), "cats/slow.png": picture(70)}), workspace)
    assert skipped(dataset) == [("cats/slow.png", "image.reader_died")]
    assert dataset.counts() == {"cats": 6, "dogs": 6}


def test_a_slow_disk_is_no_fault_of_a_file_but_one_that_gives_nothing_more_is(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, evil: Evil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "FILE_SECONDS", 0.5)
    evil('if "slow" in name: time.sleep(2)')
    files = {**pets(6), "cats/slow.png": picture(70)}
    assert import_dataset(zipped(files), workspace).skipped == ()
    monkeypatch.setattr(apart, "SILENT_SECONDS", 5.0)
    evil('if "slow" in name: time.sleep(1000)')
    dataset = import_dataset(zipped({**files, "dogs/more.png": picture(71)}), workspace)
    assert skipped(dataset) == [("cats/slow.png", "image.reader_died")]


@pytest.mark.skipif(os.name == "nt", reason="rlimits")
def test_a_reader_may_compute_as_long_as_its_files_are_worth(
    workspace: Workspace, zipped: Make, pets: Pets, evil: Evil
) -> None:
    evil(
        "import resource, glob, os; "
        f"place = glob.glob({str(workspace.datasets)!r} + '/.import-*')[0] + '/most-' + os.path.basename(name); "
        "open(place, 'w').write(str(resource.getrlimit(resource.RLIMIT_CPU)[1]))"
    )
    seen: set[str] = set()
    import_dataset(
        zipped(pets(6)), workspace,
        progress=lambda *_: seen.update(file.read_text() for file in workspace.datasets.glob(".import-*/most-*")),
    )  # fmt: skip
    assert seen - {""} == {str(reader.CPU_SECONDS + 12 * reader.FILE_CPU_SECONDS)}  # '': it is being written


@pytest.mark.skipif(os.name == "nt", reason="Windows does not say how many names a file has")
def test_a_hard_link_is_refused_in_an_upload_and_read_in_a_folder_of_the_person(
    workspace: Workspace, pets: Pets, tmp_path: Path, picture: Picture
) -> None:
    (tmp_path / "mine.png").write_bytes(picture(70))
    for source in (workspace.uploads / "0123" / "set", tmp_path / "set"):
        for name, data in pets(4).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        os.link(tmp_path / "mine.png", source / "cats" / "other.png")
    assert skipped(import_dataset(workspace.uploads / "0123" / "set", workspace)) == [("cats/other.png", "data.link")]
    assert import_dataset(tmp_path / "set", workspace).skipped == ()
    archive = workspace.uploads / "0123" / "set.zip"
    os.link(tmp_path / "mine.png", archive)
    with pytest.raises(DataError) as caught:
        import_dataset(archive, workspace)
    assert caught.value.code == "data.missing"


def test_a_reader_that_cannot_even_begin_is_said_once(
    workspace: Workspace, zipped: Make, pets: Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    nothing = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(sandbox, "command", lambda *_: begun.append(1) or nothing)
    with pytest.raises(DataError, match=r"reads set\.zip ended before it was done") as caught:
        import_dataset(zipped(pets()), workspace)
    assert (caught.value.code, len(begun), list(workspace.datasets.iterdir())) == ("data.reader_died", 1, [])


def test_the_reader_opens_no_socket(workspace: Workspace, zipped: Make, pets: Pets, evil: Evil) -> None:
    evil("import socket; socket.socket()")
    with pytest.raises(DataError) as caught:
        import_dataset(zipped(pets()), workspace)
    assert (caught.value.code, caught.value.values["reason"]) == ("workspace.unusable", "socket.__new__")


def stop_after(count: int) -> tuple[Callable[[int, int], None], Callable[[], bool]]:
    heard: list[int] = []

    def cancelled() -> bool:
        if len(heard) >= count:
            raise Interrupted
        return False

    return lambda done, total: heard.append(done), cancelled


def interrupted(source: Path, workspace: Workspace, count: int) -> set[str]:
    """Import until `count` files are done; gives the names of those that are."""
    progress, cancelled = stop_after(count)
    with pytest.raises(Interrupted):
        import_dataset(source, workspace, progress=progress, cancelled=cancelled)
    [folder] = workspace.datasets.iterdir()
    last = apart.journal.newest(folder)
    assert last is not None
    return {step.what.name for step in apart.journal.steps(last) if isinstance(step, apart.journal.Outcome)}


def test_an_import_that_was_interrupted_goes_on_and_reads_nothing_twice(
    workspace: Workspace, zipped: Make, pets: Pets, evil: Evil
) -> None:
    source = zipped(pets(40))
    evil("time.sleep(0.01)")
    done = interrupted(source, workspace, 20)
    assert 20 <= len(done) < 80
    assert unfinished(workspace) == (Unfinished(source, "", ""),)
    evil(f"if name in {done!r}: os._exit(9)")
    heard: list[tuple[int, int]] = []
    dataset = import_dataset(source, workspace, progress=lambda done, total: heard.append((done, total)))
    assert dataset.skipped == ()
    assert [(item.name, dataset.image(item)) for item in dataset.items] == list(pets(40).items())
    assert heard == [(number, 80) for number in range(1, 81)]
    assert (unfinished(workspace), [path.name for path in workspace.datasets.iterdir()]) == ((), [dataset.id])


def test_what_a_power_cut_emptied_is_read_again(workspace: Workspace, zipped: Make, pets: Pets, evil: Evil) -> None:
    source = zipped(pets(40))
    evil("time.sleep(0.01)")
    interrupted(source, workspace, 20)
    written = sorted(workspace.datasets.glob(".import-*/*.png"))
    written[0].write_bytes(b"")
    written[1].write_bytes(bytes(written[1].stat().st_size))
    written[2].unlink()
    dataset = import_dataset(source, workspace)
    assert [dataset.image(item) for item in dataset.items] == list(pets(40).values())


def test_a_file_that_was_changed_in_between_is_read_again(
    workspace: Workspace, folder: Make, pets: Pets, picture: Picture, evil: Evil
) -> None:
    source = folder(pets(40))
    evil("time.sleep(0.01)")
    first = min(interrupted(source, workspace, 20))
    (source / first).write_bytes(picture(999, size=(30, 20)))
    dataset = import_dataset(source, workspace)
    item = next(item for item in dataset.items if item.name == first)
    assert (item.width, dataset.image(item)) == (30, picture(999, size=(30, 20)))


def test_another_import_does_not_go_on_with_what_is_somebody_elses(
    workspace: Workspace, zipped: Make, pets: Pets, evil: Evil
) -> None:
    source = zipped(pets(40))
    evil("time.sleep(0.01)")
    interrupted(source, workspace, 20)
    import_dataset(source, workspace, owner="ann")
    assert unfinished(workspace) == (Unfinished(source, "", ""),)
    source.unlink()
    assert unfinished(workspace) == ()


IMPORTER = """
import sys
from pathlib import Path
sys.argv[1:]
from core import sandbox
from core.dataset import import_dataset
from core.workspace import open_workspace
sandbox.command = lambda module, *more: [sys.executable, sys.argv[3], *more]
print("begun", flush=True)
import_dataset(Path(sys.argv[1]), open_workspace(sys.argv[2]), progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_server_that_is_killed_takes_its_reader_along_and_the_next_one_goes_on(
    workspace: Workspace, zipped: Make, pets: Pets, evil: Evil, tmp_path: Path
) -> None:
    source = zipped(pets(100))
    evil("time.sleep(0.05)")
    command = [sys.executable, "-c", IMPORTER, str(source), str(workspace.root), str(tmp_path / "reader.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=sandbox.root(), text=True) as server:
        assert server.stdout is not None
        while server.stdout.readline().strip() != "10":
            assert server.poll() is None
        [reader] = psutil.Process(server.pid).children()
        server.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while reader.is_running() and reader.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the reader outlives its server"
        time.sleep(0.05)
    assert unfinished(workspace) == (Unfinished(source, "", ""),)
    dataset = import_dataset(source, workspace)
    assert [dataset.image(item) for item in dataset.items] == list(pets(100).values())
    assert json.loads((dataset.folder / "manifest.json").read_text())["id"] == dataset.id
