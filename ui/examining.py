"""What the data page asks about suspicious images: the check, what it found, and what a person decides about it.

A part of the door to core that `services` is. Knows no widget and no session; the check is a job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.dataset import Dataset, Edit, Item, decide, holding, open_imported, read_edits, split, standing, undo
from core.examine import Examination, Finding, divided, examine, last_examination, still_open
from core.recipe import Recipe
from ui import services
from ui.access import unknown

if TYPE_CHECKING:
    from ui.jobs import Cancelled, Job, Progress

Act = Literal["exclude", "relabel", "together", "ignore", "keep"]


@dataclass(frozen=True, slots=True)
class Open:
    """What a check has found, as far as nobody has decided about it yet."""

    examination: Examination
    findings: tuple[Finding, ...]
    current: bool
    """The check saw the set as it is now."""
    found: bool
    """It had found anything."""


def start(dataset_id: str) -> "Job":
    """Check the images of a data set in the background; the result is an Examination. Raises DataError."""
    data, workspace = services.dataset(dataset_id), services.workspace()

    def work(progress: "Progress", cancelled: "Cancelled") -> Examination:
        return examine(data, workspace, progress=progress, cancelled=cancelled)

    old = job(dataset_id)
    if old is not None:
        services.jobs().forget(old)
    return services.jobs().start("examine", data.id, work)


def job(dataset_id: str) -> "Job | None":
    """The newest check of a data set, or None. Raises DataError."""
    return services.jobs().find("examine", services.dataset(dataset_id).id)


def result(dataset_id: str) -> Open | None:
    """What the last check of a data set has found and is still open; None if it was never checked. Raises DataError."""
    data = services.dataset(dataset_id)
    edits = read_edits(data.folder)

    def look() -> Open | None:
        found = last_examination(data, services.workspace())
        if found is None:
            return None
        left = still_open(found, data, standing(edits))
        return Open(found, left, found.version == data.version, bool(found.findings))

    last = job(dataset_id)
    return services.remembered(("examined", data.id, data.created, edits, last.id if last else "", _state(last)), look)


def _state(last: "Job | None") -> str:
    return last.state if last else ""


def items(dataset_id: str) -> dict[str, Item]:
    """The images of a data set by their SHA-256. Raises DataError."""
    data = services.dataset(dataset_id)
    return services.remembered(
        ("items", data.id, data.created, data.version), lambda: {item.sha256: item for item in data.items}
    )


def leaking(recipe: Recipe, findings: Sequence[Finding]) -> int:
    """How many of these findings lie in two splits of the draft. Raises DataError."""
    data = services.dataset(recipe.dataset)
    parts = split(data, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
    return len(divided(findings, data, parts))


def may_decide(dataset_id: str) -> bool:
    """True if whoever asks may decide about these images: they are the person's own, and this is the newest version."""
    return "@" not in dataset_id and services.may_delete_dataset(dataset_id)


def make(dataset_id: str, act: Act, images: Sequence[str], *, label: str = "", kind: str = "") -> Edit:
    """Decide about images. Raises DataError: `edit.*`, `dataset.unknown` if they are somebody else's."""
    made = decide(_own(dataset_id), act, images, label=label, kind=kind)
    _renew(dataset_id, act)
    return made


def keep_together(dataset_id: str, findings: Sequence[Finding]) -> None:
    """Each finding's copies in one split, one decision each. Raises as `make`."""
    own = _own(dataset_id)
    for finding in findings:
        decide(own, "together", finding.images, kind=finding.kind)
    _renew(dataset_id, "together")


def take_back(dataset_id: str, number: int) -> None:
    """Undo a decision. Raises DataError: `edit.*`, `dataset.unknown` if it is about somebody else's images."""
    undo(_own(dataset_id), number)
    _renew(dataset_id, "undo")


def decisions(dataset_id: str) -> tuple[Edit, ...]:
    """The decisions that hold, newest first. Raises DataError."""
    return tuple(reversed(holding(read_edits(services.dataset(dataset_id).folder))))


def _own(dataset_id: str) -> Dataset:
    if not may_decide(dataset_id):
        raise unknown(dataset_id)
    return open_imported(services.workspace(), dataset_id)


def _renew(dataset_id: str, act: str) -> None:
    """Pages see the new version at once."""
    services.forget_pictures(dataset_id)
    services.dataset(dataset_id)
    services.access().audit("dataset_decided", dataset=dataset_id, decision=act)
