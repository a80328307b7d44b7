"""What a proof gives: figures, and faults if there are any."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


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


def alone(module: str, scale: float, seed: int, folder: Path, *more: str) -> Proof:
    """What the module prints with `tell`, in a process of its own: a proof that forks should begin with one thread only."""
    command = [sys.executable, "-m", module, str(scale), str(seed), str(folder), *more]
    return Proof(**json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout))


def tell(proof: Proof) -> None:
    """For `alone`."""
    print(json.dumps(asdict(proof)))


def many(number: int, scale: float, least: int = 1) -> int:
    """So many at this scale."""
    return max(least, round(number * scale))
