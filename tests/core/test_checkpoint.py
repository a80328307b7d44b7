"""A checkpoint is on the disk whole or not at all, says when it is not what was saved, and never runs code."""

import errno
import json
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from core import checkpoint
from core.checkpoint import checkpoints, free_name, load, manifest_of, prune, save
from core.errors import CheckpointError


def state(number: int) -> dict[str, object]:
    return {
        "weights": {"a.b": torch.full((40, 50), float(number)), "half": torch.ones(3, dtype=torch.bfloat16)},
        "numbers": [number, 0.1, True, None],
        "text": "雪",
    }


def put(folder: Path, number: int) -> Path:
    name = free_name(folder, number)
    save(folder / name, state(number), {"clock": 1.5})
    return folder / name


def same(left: object, right: object) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "step-00000812.ckpt"
    written = save(path, state(812), {"clock": 1.5})
    assert (written.file, written.size_bytes) == ("step-00000812.ckpt", path.stat().st_size)
    assert checkpoint.read_manifest(path) == {
        "format": 1,
        "sha256": written.sha256,
        "size_bytes": written.size_bytes,
        "run": tmp_path.name,
        "file": "step-00000812.ckpt",
        "clock": 1.5,
    }
    for loaded in (load(path), load(path, written.sha256)):
        assert same(loaded, {"format": 1, **state(812)})


@pytest.mark.parametrize("there", ["two/step-00000001.ckpt", "one/step-00000002.ckpt"])
def test_a_checkpoint_is_believed_where_it_was_written_alone(tmp_path: Path, there: str) -> None:
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        put(tmp_path / run, 1)
    mine, other = tmp_path / "one" / "step-00000001.ckpt", tmp_path / there
    other.write_bytes(mine.read_bytes())
    manifest_of(other).write_bytes(manifest_of(mine).read_bytes())
    with pytest.raises(CheckpointError, match=r"written elsewhere: as step-00000001\.ckpt of one") as caught:
        load(other)
    assert (caught.value.values["name"], caught.value.values["folder"]) == (other.name, other.parent.name)


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    first = save(tmp_path / "step-00000001.ckpt", state(7))
    assert save(tmp_path / "step-00000002.ckpt", state(7)).sha256 == first.sha256
    loaded = {key: value for key, value in load(tmp_path / first.file).items() if key != "format"}
    assert save(tmp_path / "step-00000003.ckpt", loaded).sha256 == first.sha256


def test_a_name_is_never_used_twice(tmp_path: Path) -> None:
    names = [put(tmp_path, step).name for step in (5, 5, 5, 12)]
    assert names == ["step-00000005.ckpt", "step-00000005-2.ckpt", "step-00000005-3.ckpt", "step-00000012.ckpt"]
    assert [path.name for path in checkpoints(tmp_path)] == names


@pytest.mark.parametrize("place", [0, 1, 100, 4096, -300, -1])
def test_one_flipped_bit_is_found(tmp_path: Path, place: int) -> None:
    path = put(tmp_path, 1)
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"step-00000001\.ckpt is damaged"):
        load(path)


def test_a_cut_file_a_wrong_hash_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    with pytest.raises(CheckpointError) as caught:
        load(path, "0" * 64)
    assert caught.value.code == "checkpoint.damaged"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.damaged", {"name": path.name})
    manifest_of(path).write_text("not json")
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.no_manifest", {"name": path.name})
    manifest_of(path).write_text("[" * 5000)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.no_manifest", {"name": path.name})
    path.unlink()
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.missing", {"name": path.name})


def test_a_file_that_is_gone_is_named_though_its_manifest_lies_there(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    hashed = checkpoint.read_manifest(path)["sha256"]
    path.unlink()
    for sha256 in (None, hashed):
        with pytest.raises(CheckpointError) as caught:
            load(path, sha256)
        assert (caught.value.code, caught.value.values) == ("checkpoint.missing", {"name": path.name})


def test_a_manifest_without_a_hash_vouches_for_nothing(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    manifest_of(path).write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.damaged", {"name": path.name})


def test_a_manifest_that_does_not_say_where_it_belongs_is_believed(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    said = json.loads(manifest_of(path).read_text())
    manifest_of(path).write_text(json.dumps({key: said[key] for key in ("format", "sha256", "size_bytes")}))
    assert load(path)["numbers"][0] == 1


def test_nothing_is_begun_that_would_not_leave_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    megabyte = torch.zeros(2**18)
    document = {"nested": [{"one": megabyte}, [megabyte]], "half": megabyte.half()}
    need = int(checkpoint.ROOM * 2.5 * 2**20) + checkpoint.RESERVE_BYTES
    free = need - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    path = tmp_path / "step-00000001.ckpt"
    with pytest.raises(CheckpointError) as caught:
        save(path, document)
    reason = os.strerror(errno.ENOSPC)
    assert (caught.value.code, caught.value.values) == ("checkpoint.disk_full", {"folder": str(tmp_path), "reason": reason})
    assert list(tmp_path.iterdir()) == []
    free = need
    assert save(path, document).file == path.name


def test_a_disk_that_does_not_give_it_back_now_is_told_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, 1)
    opens = Path.open

    def failing(name: str) -> None:
        def refuse(self: Path, *given: object, **more: object) -> object:
            if self.name == name:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return opens(self, *given, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "open", refuse)

    for name in (path.name, manifest_of(path).name):
        failing(name)
        with pytest.raises(CheckpointError) as caught:
            load(path)
        assert caught.value.code == "checkpoint.unreadable"
        assert caught.value.values == {"name": path.name, "reason": "Input/output error"}
    monkeypatch.undo()
    assert same({key: value for key, value in load(path).items() if key != "format"}, state(1))


def test_memory_that_runs_out_while_it_is_loaded_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, 1)

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(RuntimeError, match="allocate memory"):
        load(path)


@pytest.mark.parametrize("text", ["[]", "null", "7"])
def test_a_manifest_that_is_no_table_is_none(tmp_path: Path, text: str) -> None:
    path = put(tmp_path, 1)
    manifest_of(path).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.no_manifest", {"name": path.name})


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    path = put(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert (caught.value.code, caught.value.values) == ("checkpoint.format", {"name": path.name, "format": 1})


class Planted:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.marker),))


def test_code_in_a_file_is_not_run_even_with_the_right_hash(tmp_path: Path) -> None:
    path, marker = tmp_path / "step-00000001.ckpt", tmp_path / "ran"
    digest, _ = checkpoint.write_durably(path, lambda file: torch.save({"format": 1, "x": Planted(marker)}, file))
    with pytest.raises(CheckpointError, match="damaged"):
        load(path, digest)
    digest, _ = checkpoint.write_durably(path, lambda file: file.write(pickle.dumps(Planted(marker), 2)))
    with pytest.raises(CheckpointError, match="damaged"):
        load(path, digest)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (Path("x"), r"state\.odd is a PosixPath, which|state\.odd is a WindowsPath, which"),
        ({1.5: "key"}, r"state\.odd: key 1\.5 is neither text nor number"),
        ({"deep": [1, set()]}, r"state\.odd\.deep\[1\] is a set, which a checkpoint does not hold"),
    ],
)
def test_only_plain_values_are_saved(tmp_path: Path, odd: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        save(tmp_path / "step-00000001.ckpt", {"odd": odd})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("after", [0, 3000, 9000])
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: int
) -> None:
    old = put(tmp_path, 1)
    before = sorted(path.name for path in tmp_path.iterdir())
    sent = 0
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal sent
        sent += len(data)
        if sent > after:
            raise OSError(number, os.strerror(number))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(CheckpointError) as caught:
        put(tmp_path, 2)
    monkeypatch.undo()
    assert caught.value.code == ("checkpoint.unwritable" if number == errno.EIO else "checkpoint.disk_full")
    assert caught.value.values == {"folder": str(tmp_path), "reason": os.strerror(number)}
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert same(load(old), {"format": 1, **state(1)})


def test_an_error_without_a_number_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, 1)

    def odd(*_: object, **__: object) -> None:
        raise OSError("the drive is asleep")

    monkeypatch.setattr(os, "fsync", odd)
    with pytest.raises(CheckpointError) as unwritten:
        put(tmp_path, 2)
    monkeypatch.setattr(Path, "open", odd)
    with pytest.raises(CheckpointError) as unread:
        load(path)
    told = [(error.value.code, error.value.values["reason"]) for error in (unwritten, unread)]
    assert told == [(f"checkpoint.{code}", "the drive is asleep") for code in ("unwritable", "unreadable")]


def test_what_comes_back_otherwise_than_it_was_written_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_read_back", lambda path: "0" * 64)
    with pytest.raises(CheckpointError) as caught:
        put(tmp_path, 1)
    assert caught.value.code == "checkpoint.unwritable"
    assert caught.value.values == {"folder": str(tmp_path), "reason": os.strerror(errno.EIO)}
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_has_pruned_meanwhile_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = put(tmp_path, 1), put(tmp_path, 2)
    (tmp_path / ".step-00000003.ckpt.ab.tmp").write_bytes(b"half")
    unlink = Path.unlink

    def twice(self: Path, missing_ok: bool = False) -> None:
        unlink(self)
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", twice)
    prune(tmp_path, [new.name])
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, manifest_of(new).name]
    assert not old.exists()


class Crash(BaseException):
    """The process is gone: nothing after it runs, not even tidying."""


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_crash_at_any_system_call_leaves_every_acknowledged_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old = put(tmp_path, 1)
    real, real_unlink = getattr(os, call), Path.unlink
    for turn in range(1, 100):
        calls = 0

        def falling(*given: object, at: int = turn, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= at:
                raise Crash
            return real(*given, **named)

        monkeypatch.setattr(os, call, falling)
        monkeypatch.setattr(Path, "unlink", lambda *given, **named: None)
        acknowledged = False
        try:
            new = put(tmp_path, 2)
            acknowledged = True
        except (Crash, RuntimeError):  # torch turns what a write raises into its own error
            pass
        monkeypatch.setattr(os, call, real)
        monkeypatch.setattr(Path, "unlink", real_unlink)
        for path in checkpoints(tmp_path):
            assert load(path)["numbers"][0] == int(path.name[5:13])
        assert old in checkpoints(tmp_path)
        if acknowledged:
            assert new in checkpoints(tmp_path)
            return
        prune(tmp_path, [old.name])
        assert sorted(path.name for path in tmp_path.iterdir()) == [old.name, manifest_of(old).name]
    pytest.fail("saving never came to an end")


def test_prune_keeps_what_it_is_told_to_keep(tmp_path: Path) -> None:
    paths = [put(tmp_path, step) for step in (1, 2, 3, 4)]
    (tmp_path / "model.safetensors").write_text("not mine")
    (tmp_path / ".step-00000009.ckpt.0123.tmp").write_text("half")
    prune(tmp_path, [paths[1].name, paths[3].name])
    assert checkpoints(tmp_path) == (paths[1], paths[3])
    kept = {"model.safetensors"} | {name for path in (paths[1], paths[3]) for name in (path.name, manifest_of(path).name)}
    assert {path.name for path in tmp_path.iterdir()} == kept
