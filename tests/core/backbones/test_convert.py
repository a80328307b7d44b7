"""Weights from outside: of thirty files made to do harm none does anything, and an honest one comes through unchanged."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core import torchfile
from core.backbones import build
from core.backbones.convert import check, convert
from core.backbones.weights import read_safetensors
from core.errors import WeightsError

ROOT = Path(__file__).resolve().parents[3]
MAGIC = 0x1950A86A20F9469CFC6C


class Reduced:
    """Pickles as a call of `call` with `given`."""

    def __init__(self, call: Callable[..., Any], *given: Any) -> None:
        self.call, self.given = call, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.given


class Stated(Reduced):
    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (), {"a": Reduced(self.call, *self.given)}


class Listed(Reduced):
    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, iter([Reduced(self.call, *self.given)])


def raw(text: bytes) -> bytes:
    """A file as torch.save writes it, with this for its description of tensors."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", text)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", b"\0" * 64)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def saved(thing: object, **named: Any) -> bytes:
    out = io.BytesIO()
    torch.save(thing, out, **named)
    return out.getvalue()


def legacy(text: bytes) -> bytes:
    head = [
        pickle.dumps(part, 2) for part in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    ]
    return b"".join(head) + text + pickle.dumps([], 2)


def called(name: bytes, argument: bytes) -> bytes:
    """The opcodes that call `module\\nname` with one text."""
    return b"\x80\x02c" + name + b"\nX" + struct.pack("<I", len(argument)) + argument + b"\x85R."


def payloads(marker: Path) -> dict[str, bytes]:
    """Thirty-odd files that would make the folder `marker`, or eat memory, if anything in them were believed."""
    at = str(marker)
    shell = f"mkdir {at}".encode()
    code = f"__import__('os').mkdir({at!r})".encode()
    tensor = {"weight": torch.ones(4)}
    stored = saved(tensor)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = len(called(b"os\nsystem", shell))
        archive.addfile(info, io.BytesIO(called(b"os\nsystem", shell)))
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as packed, zipfile.ZipFile(io.BytesIO(stored)) as old:
        for name in old.namelist():
            packed.writestr(name, old.read(name) if not name.endswith("data/0") else b"\0" * 100_000_000)
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as program:
        for name in ("data.pkl", "constants.pkl", "code/__torch__/evil.py", "version"):
            program.writestr(f"archive/{name}", b"\x80\x02}.")
    deep = b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."
    huge = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive_two:
        archive_two.writestr("archive/data.pkl", b"\x80\x02}.")
        archive_two.writestr("other/data.pkl", called(b"os\nsystem", shell))
    bent = bytearray(stored)
    bent[-10:-6] = struct.pack("<L", 2**31)
    return {
        "os.system": saved({"a": Reduced(os.system, f"mkdir {at}")}),
        "os.mkdir": saved(Reduced(os.mkdir, at)),
        "posix.system": raw(called(b"posix\nsystem", shell)),
        "subprocess.Popen": saved({"a": Reduced(subprocess.Popen, ["mkdir", at])}),
        "subprocess.check_output": saved([Reduced(subprocess.check_output, ["mkdir", at])]),
        "builtins.exec": raw(called(b"builtins\nexec", code)),
        "builtins.eval": raw(called(b"builtins\neval", code)),
        "builtins.eval by protocol 4": raw(
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93X" + struct.pack("<I", len(code)) + code + b"\x85R."
        ),
        "__builtin__.eval of Python 2": raw(called(b"__builtin__\neval", code)),
        "builtins.__import__": raw(called(b"builtins\n__import__", b"this")),
        "builtins.getattr": raw(b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x04\x00\x00\x00nameh\x86R."),
        "builtins.open": raw(called(b"builtins\nopen", at.encode())),
        "nested in a state": saved({"a": {"b": [Stated(os.mkdir, at)]}}),
        "nested in a list": saved({"a": Listed(os.mkdir, at)}),
        "as a key": saved({("k", 1): Reduced(os.mkdir, at)}),
        "beside good tensors": saved({**tensor, "extra": Reduced(os.mkdir, at)}),
        "by BUILD": raw(b"\x80\x02c__main__\nEvil\n)\x81}X\x01\x00\x00\x00aK\x01sb."),
        "by INST": raw(b"\x80\x02(X" + struct.pack("<I", len(shell)) + shell + b"ios\nsystem\n."),
        "by OBJ": raw(b"\x80\x02(cos\nsystem\nX" + struct.pack("<I", len(shell)) + shell + b"o."),
        "by an extension code": raw(b"\x80\x02\x82\x01."),
        "by a persistent id": raw(b"\x80\x02X\x04\x00\x00\x00evilQ."),
        "runpy": raw(called(b"runpy\nrun_path", at.encode())),
        "pip.main": raw(called(b"pip\nmain", b"install")),
        "torch.load of another file": raw(called(b"torch\nload", at.encode())),
        "torch.hub": raw(called(b"torch.hub\nload_state_dict_from_url", b"file:///x")),
        "numpy's own loader": raw(called(b"numpy\nload", at.encode())),
        "functools.partial": raw(b"\x80\x02cfunctools\npartial\ncos\nsystem\n\x85R."),
        "operator.attrgetter": raw(called(b"operator\nattrgetter", b"system")),
        "legacy format": legacy(called(b"os\nsystem", shell)),
        "legacy, a plain pickle": called(b"os\nsystem", shell),
        "legacy tar": tar.getvalue(),
        "a pickle with a safe name": pickle.dumps({"a": Reduced(os.mkdir, at)}, 4),
        "a TorchScript program": script.getvalue(),
        "two descriptions": twice.getvalue(),
        "deflated tensors": deflated.getvalue(),
        "a bytearray of two gigabytes": raw(huge),
        "a hundred thousand levels": raw(deep),
        "a table of contents of two gigabytes": bytes(bent),
        "cut in the middle": stored[: len(stored) // 2],
        "an empty file": b"",
        "random bytes": zlib.compress(at.encode() * 50),
    }


CHILD = """
import json, sys, time
from pathlib import Path
import torch, safetensors.torch
from core.backbones import convert
from core.errors import ThawError
torch.set_num_threads(1)
safetensors.torch.save({"a": torch.zeros(1)})
folder = Path(sys.argv[1])
files = sorted(folder.glob("*.pt"))
convert.lock_up(folder / "out", 2**20)
said = {}
for file in files:
    try:
        convert.check(file)
        answer = convert.work(file, folder / "out")
        said[file.stem] = answer.get("code", "loaded")
    except ThawError as error:
        said[file.stem] = error.code
print(json.dumps(said))
"""


def test_of_thirty_malicious_files_none_runs_and_each_is_refused_with_a_card(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    made = payloads(marker)
    assert len(made) >= 30
    folder = tmp_path / "files"
    folder.mkdir()
    for number, data in enumerate(made.values()):
        (folder / f"{number:02d}.pt").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, cwd=ROOT, check=True, timeout=120, text=True
    )
    said = dict(zip(made, json.loads(done.stdout).values(), strict=True))
    assert not marker.exists()
    assert {path.suffix for path in folder.iterdir()} == {".pt"}
    known = {"weights.program", "weights.bomb", "weights.no_torch_file", "weights.no_tensors", "weights.over_limit"}
    assert {name: code for name, code in said.items() if code not in known} == {}
    by_code = {code: [name for name, told in said.items() if told == code] for code in known}
    assert len(by_code["weights.program"]) >= 20
    assert by_code["weights.bomb"] == ["deflated tensors"]
    assert by_code["weights.over_limit"] == ["a bytearray of two gigabytes"]


def test_a_malicious_file_is_refused_end_to_end(tmp_path: Path) -> None:
    torch.save({"a": Reduced(os.mkdir, str(tmp_path / "ran"))}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt contains program code and was not loaded"):
        convert(tmp_path / "evil.pt", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pt"]


def test_an_honest_file_comes_through_bit_by_bit_and_fits_its_network(tmp_path: Path) -> None:
    taught = build("mnasnet0_5", classes=5, seed=4).model.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in taught.items()}}, tmp_path / "a.pth")
    made = convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
    found = read_safetensors(made.path)
    assert made.tensors == len(found) == len(taught)
    assert all(torch.equal(found[name], tensor) for name, tensor in taught.items())
    build("mnasnet0_5", classes=5, weights=str(made.path), seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "a.safetensors"]


@pytest.mark.parametrize(
    ("size", "contents", "code"),
    [(0, b"", "no_torch_file"), (0, b"hello", "no_torch_file"), (0, None, "missing_file")],
)
def test_what_is_no_file_by_torch_is_said_without_a_child(
    tmp_path: Path, size: int, contents: bytes | None, code: str
) -> None:
    if contents is not None:
        (tmp_path / "x.pt").write_bytes(contents)
    with pytest.raises(WeightsError) as caught:
        convert(tmp_path / "x.pt", tmp_path / "x.safetensors")
    assert caught.value.code == f"weights.{code}"
    with pytest.raises(WeightsError, match="no file by torch"):
        convert(tmp_path / "x.txt", tmp_path / "x.safetensors")


def test_a_memory_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with archive.open("archive/data/0", "w") as out:
            for _ in range(200):
                out.write(b"\0" * 2**20)
    assert file.stat().st_size < 250_000
    with pytest.raises(WeightsError, match=r"bomb\.pt declares 200\.0 MB in a file of 0\.2 MB") as caught:
        check(file)
    assert caught.value.code == "weights.bomb"


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_both_formats_are_known(tmp_path: Path, zipped: bool) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with (tmp_path / "a.pt").open("rb") as file:
        assert torchfile.check(file) is zipped
        assert file.tell() == 0
