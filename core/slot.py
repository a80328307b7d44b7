"""Slot: the right to train on one device. One process of a workspace holds it at a time; nobody once the device has failed.

Knows names of devices and lock files, nothing of runs. After an error of its own a GPU answers nothing right any more until
the process ends (pytorch issue 2300), so a device that is lost stays lost.
"""

from functools import cache

from core import locks
from core.errors import StoreError
from core.workspace import Workspace

_lost: set[str] = set()


def take(workspace: Workspace, device: str) -> locks.Hold | None:
    """The slot of the device that `device` names here; None while another holder has it. May import torch.

    Raises StoreError (`store.unreadable`) if its lock file cannot be opened.
    """
    file = workspace.root / f".device-{_card(resolve(device))}.lock"
    try:
        return locks.take(file)
    except OSError as error:  # somebody else's file, too many open ones
        raise StoreError("store.unreadable", path=str(file), reason=error.strerror or str(error)) from error


def lose(device: str) -> None:
    """Nothing in this process may use `device` from now on; `auto` is what it stands for."""
    _lost.add(resolve(device))


def lost() -> tuple[str, ...]:
    """The devices that failed under this process."""
    return tuple(sorted(_lost))


def is_lost(device: str) -> bool:
    """The device of that name failed under this process; `auto` means the first GPU. Asks no device."""
    return _numbered(device) in _lost or (device == "auto" and not _lost.isdisjoint({"cuda:0", "mps"}))


@cache
def resolve(device: str) -> str:
    """The device that a name means on this machine: `auto` takes the first GPU, else the CPU. May import torch."""
    if device != "auto":
        return _numbered(device)
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def _card(name: str) -> str:
    """What is the same for every process that uses it: which GPU `cuda:0` is, `CUDA_VISIBLE_DEVICES` says for each."""
    if not name.startswith("cuda:"):
        return name
    import torch

    try:
        return str(torch.cuda.get_device_properties(name).uuid)
    except (RuntimeError, AssertionError, ValueError):  # it is not there: whoever trains will say so
        return name.replace(":", "-")


def _numbered(device: str) -> str:
    return "cuda:0" if device == "cuda" else device
