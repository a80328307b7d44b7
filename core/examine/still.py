"""Still open: which findings a person's decisions have not settled yet. Pure: findings and decisions in, findings out."""

from collections.abc import Sequence
from dataclasses import replace

from core.dataset.edits import Standing
from core.dataset.record import Dataset
from core.dataset.splits import Splits
from core.examine.finding import COPIES, Examination, Finding


def still_open(found: Examination, dataset: Dataset, now: Standing) -> tuple[Finding, ...]:
    """The findings that still hold of `dataset`, in which the decisions of `now` have been carried out."""
    labels = {item.sha256: item.label for item in dataset.items}
    kept = {item.sha256: item.group or item.sha256 for item in dataset.items}
    left: list[Finding] = []
    for finding in found.findings:
        images = tuple(sha for sha in finding.images if sha in labels)
        if (finding.kind, finding.images or (finding.label,)) in now.ignored or (finding.images and not images):
            continue
        if finding.kind == "label" and (images[0] in now.labels or dataset.classes[labels[images[0]]] == finding.label):
            continue
        if finding.kind in COPIES:
            groups = {kept[sha] for sha in images}
            clash = len({labels[sha] for sha in images}) > 1
            if len(images) < 2 or (len(groups) == 1 and not (finding.kind == "clash" and clash)):
                continue
            if finding.kind == "clash" and not clash:
                finding = replace(finding, kind="near", suggestion="together")
        left.append(replace(finding, images=images))
    return tuple(left)


def divided(findings: Sequence[Finding], dataset: Dataset, splits: Splits) -> tuple[Finding, ...]:
    """Those about copies that lie in two of the splits: what is tested with was learned from."""
    where: dict[str, str] = {}
    for name in ("train", "val", "test"):
        where |= {dataset.items[index].sha256: name for index in getattr(splits, name)}
    return tuple(one for one in findings if one.kind in COPIES and len({where.get(sha) for sha in one.images}) > 1)
