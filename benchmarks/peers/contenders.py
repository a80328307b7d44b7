"""Who takes part, and how: each peer as it comes, and tuned by us. Pure."""

from dataclasses import dataclass
from typing import Any

OURS = "thaw"
PRECISE = ("amx_bf16", "avx512_bf16")
"""Features of a processor that make bfloat16 faster than float32."""


@dataclass(frozen=True)
class Peer:
    """`workers` and `persistent` are those of its own defaults, at most one for each core; so is `augment`."""

    name: str
    title: str
    workers: bool
    persistent: bool
    augment: str
    told: str
    """What happens to a training image by default."""


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastai", "fastai", True, False, "none", "none (`Resize`)"),
        Peer("lightning", "PyTorch Lightning", False, False, "squeezed-flip", "flip"),
        Peer("timm", "timm", True, True, "crop", "random crop, flip, colour jitter"),
        Peer("torchvision", "torchvision reference", True, False, "resized-crop", "random crop, flip"),
    )
}


@dataclass(frozen=True)
class Entry:
    """One contender under one policy: 'ours', 'reference', 'defaults' or 'tuned'."""

    contender: str
    policy: str

    @property
    def title(self) -> str:
        name = PEERS[self.contender].title if self.contender in PEERS else "Thaw"
        return name if self.policy in ("ours", "defaults") else f"{name}, {self.policy}"


@dataclass(frozen=True)
class Variant:
    """A way to spread a tuned peer over the cores."""

    threads: int
    spin: bool
    workers: int

    def environment(self) -> dict[str, str]:
        """For its process, before torch is imported."""
        quiet = {} if self.spin else {"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
        return {"OMP_NUM_THREADS": str(self.threads), **quiet}


def variants(cores: int) -> list[Variant]:
    """What is tried to find the fastest: decoding in the main process, beside it on the same cores, on one of its own."""
    tried = [Variant(cores, True, 0), Variant(cores, False, 1), Variant(cores, False, cores)]
    return tried + ([Variant(cores - 1, False, 1)] if cores > 1 else [])


def entries(names: list[str], policies: list[str], *, reference: bool) -> list[Entry]:
    """In the order of a round: ours first, peers under the one policy, then under the other."""
    ours = [Entry(OURS, "ours")] if OURS in names else []
    if reference:
        ours.append(Entry(OURS, "reference"))
    return ours + [Entry(name, policy) for policy in policies for name in names if name in PEERS]


def policy(entry: Entry, *, augment: str, cores: int, bf16: bool, variant: Variant | None = None) -> dict[str, Any]:
    """What the contender's process is told. `augment` ('none' or 'flip') holds for ours and for every tuned peer."""
    if entry.contender == OURS:
        extra = {"reference": True} if entry.policy == "reference" else {}
        return {"augment": augment, "recipe": extra}
    peer = PEERS[entry.contender]
    if entry.policy == "defaults":
        plain = {"own_recipe": True, "bf16": False, "channels_last": False, "augment": peer.augment}
        return {**plain, "workers": cores if peer.workers else 0, "persistent": peer.persistent}
    workers = variant.workers if variant else 1
    fast = {"own_recipe": False, "bf16": bf16, "channels_last": True, "augment": augment}
    return {**fast, "workers": workers, "persistent": workers > 0}
