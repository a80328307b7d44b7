"""What a proof gives: figures, and faults if there are any."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Proof:
    """Passed if there are no faults and it tried something."""

    name: str
    figures: dict[str, Any]
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """No fault was found, and figures were."""
        return not self.faults and bool(self.figures)

    def to_json(self, **more: object) -> str:
        """One line."""
        return json.dumps(
            {"proof": self.name, "passed": self.passed, "seconds": round(self.seconds, 1), **more, **self.figures,
             "faults": self.faults[:20]}
        )  # fmt: skip


def many(number: int, scale: float, least: int = 1) -> int:
    """So many at this scale."""
    return max(least, round(number * scale))
