"""Finding: one suspicious thing about some images of a data set, as plain data. Knows no pixels."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "label", "clash", "leak", "same", "near", "blank", "blurred", "dark", "bright", "tiny", "shape", "imbalance"
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "label", "clash", "leak", "same", "near", "blank", "blurred", "dark", "bright", "tiny", "shape", "imbalance",
)  # fmt: skip
"""In the order in which a person should look at them."""
COPIES = frozenset({"clash", "leak", "same", "near"})
"""Kinds that are about several images that show one picture."""
Suggestion = Literal["relabel", "exclude", "together", "look", "collect"]
HARD = 0.8
"""Where the check tells less of the images apart by itself, what it says about classes is a hint."""
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, how clear it is, and what would help."""

    kind: Kind
    images: tuple[str, ...]
    """SHA-256; of copies the one to keep first. Empty for `imbalance`."""
    number: float
    """How clear: label: probability of the other class; copies: likeness of the least alike two, at most 1; blurred: times
    softer than the middle one of the set; blank, dark, bright: grey level in [0, 255]; tiny: shorter side in pixels; shape:
    longer side by shorter side; imbalance: images of the largest class by those of this one."""
    suggestion: Suggestion
    label: str = ""
    """label: the class it looks like; imbalance: the class that is rare."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in one version of a data set."""

    dataset: str
    """Id."""
    version: str
    images: int
    told_apart: float
    """Share of the images whose class the check names rightly without having seen them: how far to trust `label`."""
    findings: tuple[Finding, ...]
    """The kinds in the order of KINDS, of each the clearest first."""

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each kind that was found, in the order of KINDS."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back."""
        return {"format": FORMAT, **asdict(self)}


def from_dict(data: dict[str, Any]) -> Examination:
    """What `Examination.to_dict` gave. Raises ValueError, KeyError or TypeError for anything else."""
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}")
    findings = tuple(Finding(**{**one, "images": tuple(one["images"])}) for one in data["findings"])
    return Examination(data["dataset"], data["version"], data["images"], data["told_apart"], findings)
