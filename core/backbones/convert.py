"""Convert: a person's weights by `torch.save` into safetensors, in a child process that is given next to nothing.

Four walls, each enough for most of what is about: the table of contents is checked before torch sees the file
(`core/torchfile.py`); torch unpickles tensors only (`weights_only=True`); the child may use little memory and time and may
neither start a program nor open a socket nor write any file but the one; and what it wrote is read again as safetensors.
"""

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import sandbox, torchfile
from core.errors import WeightsError

SUFFIXES = frozenset({".pt", ".pth", ".bin", ".ckpt"})
MAX_BYTES = 8 * 2**30
SPARE_BYTES = 768 * 2**20
"""Memory of the child, besides what torch has taken when it was imported and three times the file."""
CPU_SECONDS = 120
WALL_SECONDS = 300.0
WRAPPERS = ("state_dict", "model", "model_state_dict", "weights")
"""Keys under which training scripts keep the table of tensors, the first that fits."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was made."""

    path: Path
    tensors: int
    sha256: str


def convert(source: Path, out: Path) -> Converted:
    """Write the tensors of `source` to the file `out`, whole or not at all.

    Raises WeightsError (`weights.missing_file`, `.not_safetensors`, `.no_torch_file`, `.bomb`, `.program`, `.no_tensors`,
    `.over_limit`, `.not_finite`, `.not_written`).
    """
    if source.suffix.lower() not in SUFFIXES:
        raise WeightsError("weights.not_torch", file=source.name, kinds=", ".join(sorted(SUFFIXES)))
    check(source)
    draft = out.absolute().with_name(f".{out.name}.{secrets.token_hex(4)}.safetensors")
    try:
        answer = _ask_child(source.absolute(), draft)
        if "code" in answer:
            raise WeightsError(str(answer["code"]), **{"file": source.name, **answer.get("values", {})})
        from core.backbones.weights import read_safetensors

        tensors = read_safetensors(draft)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(draft, out)
    except OSError as error:
        raise WeightsError("weights.not_written", path=str(out), reason=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return Converted(out, len(tensors), digest)


def check(source: Path) -> None:
    """Look at the table of contents. Raises WeightsError (`weights.missing_file`, `.no_torch_file`, `.bomb`)."""
    try:
        if source.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 2**30} GB")
        with source.open("rb") as file:
            torchfile.check(file)
    except torchfile.Declared as error:
        size, packed = (f"{number / 2**20:.1f} MB" for number in (error.size, error.packed))
        raise WeightsError("weights.bomb", file=source.name, size=size, packed=packed) from error
    except FileNotFoundError as error:
        raise WeightsError("weights.missing_file", file=str(source)) from error
    except (OSError, ValueError) as error:
        raise WeightsError("weights.no_torch_file", file=source.name, reason=str(error)[:160]) from error


def _ask_child(source: Path, draft: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - our own module, in a list
            sandbox.command("core.backbones.convert", str(source), str(draft)),
            capture_output=True,
            timeout=WALL_SECONDS,
            check=False,
            env=sandbox.environment(),
            cwd=sandbox.root(),
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(done.stdout or b"{}")
    except (subprocess.TimeoutExpired, ValueError):
        answer = {}
    if not isinstance(answer, dict) or not ({"code", "tensors"} & answer.keys()):  # killed by a limit
        return {"code": "weights.over_limit"}
    return answer


# --- in the child ---------------------------------------------------------------------------------------------------------


def work(source: Path, draft: Path) -> dict[str, Any]:
    """Load, flatten, write; gives plain data: `tensors`, or the code and values of what is wrong."""
    from pickle import UnpicklingError

    import torch
    from safetensors.torch import save_file

    try:
        with source.open("rb") as file:
            torchfile.check(file)
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        refused = "weights_only" in str(error).lower() or "unsupported" in str(error).lower()
        if refused:
            return {"code": "weights.program"}
        return {"code": "weights.no_torch_file", "values": {"reason": _line(error)}}
    except MemoryError:
        return {"code": "weights.over_limit"}
    except Exception as error:  # torch raises whatever comes to hand for a file that it cannot read
        if "alloc" in str(error) or "memory" in str(error):
            return {"code": "weights.over_limit"}
        return {"code": "weights.no_torch_file", "values": {"reason": _line(error)}}
    table = _table(loaded)
    if table is None:
        return {"code": "weights.no_tensors", "values": {"reason": type(loaded).__name__}}
    most = source.stat().st_size
    plain: dict[str, torch.Tensor] = {}
    for name, tensor in table.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            return {"code": "weights.no_tensors", "values": {"reason": f"{name[:80]}: {tensor.layout}, {tensor.device}"}}
        size = tensor.numel() * tensor.element_size()
        if size > most:  # a view that repeats its numbers
            values = {"size": f"{size / 2**20:.1f} MB", "packed": f"{most / 2**20:.1f} MB"}
            return {"code": "weights.bomb", "values": values}
        plain[name] = tensor.detach()
    size = sum(tensor.numel() * tensor.element_size() for tensor in plain.values())
    if size > 2 * most:  # tied weights are written twice
        return {"code": "weights.bomb", "values": {"size": f"{size / 2**20:.1f} MB", "packed": f"{most / 2**20:.1f} MB"}}
    try:
        save_file({name: tensor.contiguous().clone() for name, tensor in plain.items()}, draft)
    except (MemoryError, RuntimeError, ValueError, OSError) as error:
        return {"code": "weights.no_tensors", "values": {"reason": _line(error)}}
    return {"tensors": len(plain)}


def _table(loaded: Any) -> "dict[str, Any] | None":
    """The table of tensors in what was loaded, prefixes of wrappers taken off; None if there is none."""
    import torch

    if not isinstance(loaded, Mapping):
        return None
    for key in WRAPPERS:
        if isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not loaded or not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()):
        return None
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in loaded):
            loaded = {name.removeprefix(prefix): value for name, value in loaded.items()}
    return dict(loaded)


def lock_up(draft: Path, size: int) -> None:
    """From now on this process reads a file of `size` bytes and writes `draft`, and does nothing else."""
    only = os.path.abspath(draft)
    sandbox.lock_up(
        lambda path: path == only,
        memory_bytes=3 * size + SPARE_BYTES,
        file_bytes=3 * size + 2**20,
        files=64,
        cpu_seconds=CPU_SECONDS,
    )


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def main(source: str, draft: str) -> int:
    """What the child does: one line of JSON on standard output."""
    import safetensors.torch
    import torch

    torch.set_num_threads(1)
    safetensors.torch.save({"a": torch.zeros(1)})  # everything that is imported late is imported now
    lock_up(Path(draft), Path(source).stat().st_size)
    sys.stdout.write(json.dumps(work(Path(source), Path(draft))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
