"""The process behind `export_apart`: `python -m core.export RUN_FOLDER FORMAT OUT` prints one line of JSON."""

import os
import sys
from pathlib import Path

from core.export import answer

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # a training beside it goes first
    sys.stdout.write(answer(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])) + "\n")
