"""Look: one examination from pixels to findings. Brings the parts together; each knows one kind of fault."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from core.dataset.pixels import load_pixels
from core.dataset.record import SEALED, Dataset
from core.errors import DataError, ThawError
from core.examine.features import SIZE, features
from core.examine.finding import HARD, KINDS, Examination, Finding, Kind, Suggestion
from core.examine.labels import MARGIN, MARGIN_OF_HARD, doubtful, suspects
from core.examine.looks import BLANK, measures, poor, rare
from core.examine.twins import groups, twins
from core.images import open_image
from core.workspace import Workspace

STOPPED = frozenset({"data.cancelled", "head.cancelled", "examine.cancelled"})
SUGGESTIONS: dict[Kind, Suggestion] = {"clash": "look", "leak": "exclude", "same": "exclude", "near": "together"}


def look(
    dataset: Dataset,
    workspace: Workspace,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Examination:
    """As `core.examine.examine`, without looking whether it was done before."""
    many = len(dataset.items)

    def told(part: int, done: float) -> None:
        """`part`: 0 reading, 1 features, 2 copies, 3 labels."""
        if progress is not None:
            progress(int(part * many + done), 4 * many)

    def stop() -> bool:
        return cancelled is not None and cancelled()

    try:
        pixels = load_pixels(
            dataset,
            range(many),
            size=SIZE,
            fit="stretch",
            workspace=workspace,
            progress=lambda done, _: told(0, done),
            cancelled=stop,
        )
        seen = [measures(grey) for some in torch.split(pixels, 64) for grey in _grey(some)]
        plain = torch.tensor([spread < BLANK for spread, *_ in seen])
        found = features(pixels, dataset.items, workspace, lambda done: told(1, done), stop)
        copies = groups(twins(pixels, plain, lambda share: told(2, share * many), stop))
        told(3, 0)
        labels = torch.tensor([item.label for item in dataset.items])
        first = torch.arange(many)
        for members, _ in copies:
            first[members] = members[0]
        probabilities, told_apart = suspects(found, labels, len(dataset.classes), first, stop)
    except ThawError as error:
        if error.code in STOPPED:
            raise DataError("examine.cancelled") from error
        raise
    findings = [
        *_filed_wrongly(dataset, probabilities, plain, MARGIN if told_apart >= HARD else MARGIN_OF_HARD),
        *(_copied(dataset, members, alike, pixels) for members, alike in copies),
        *poor(dataset, seen),
        *rare(dataset),
    ]
    told(4, 0)
    ordered = tuple(sorted(findings, key=lambda finding: KINDS.index(finding.kind)))
    return Examination(dataset.id, dataset.version, many, round(told_apart, 4), ordered)


def _grey(pixels: Tensor) -> np.ndarray:
    """(B, S, S)."""
    return pixels.float().mean(dim=1).numpy()


def _filed_wrongly(dataset: Dataset, probabilities: np.ndarray, plain: Tensor, margin: float) -> list[Finding]:
    """The most probable first. An image that shows nothing looks like no class."""
    labels = np.array([item.label for item in dataset.items])
    wrong = np.flatnonzero(doubtful(probabilities, labels, margin) & ~plain.numpy())
    best = probabilities.argmax(axis=1)
    order: list[int] = sorted(wrong.tolist(), key=lambda at: (-probabilities[at, best[at]], dataset.items[at].sha256))
    return [
        Finding(
            "label",
            (dataset.items[at].sha256,),
            round(float(probabilities[at, best[at]]), 4),
            "relabel",
            dataset.classes[best[at]],
        )
        for at in order
    ]


def _copied(dataset: Dataset, members: list[int], alike: float, pixels: Tensor) -> Finding:
    """What is to be said about the images of one group of copies; the sealed and the largest are to be kept first."""
    items = sorted(
        (dataset.items[at] for at in members),
        key=lambda item: (SEALED[item.split], -item.width * item.height, item.sha256),
    )
    kind: Kind = "near"
    if len({item.label for item in items}) > 1:
        kind = "clash"
    elif len({item.split for item in items if item.split}) > 1:
        kind = "leak"
    elif all(bool((pixels[at] == pixels[members[0]]).all()) for at in members):
        one, *others = (open_image(dataset.image(item), name=item.name).pixels for item in items)
        kind = "same" if all(np.array_equal(one, other) for other in others) else "near"
    return Finding(kind, tuple(item.sha256 for item in items), alike, SUGGESTIONS[kind])
