"""Bring torch into memory in the background, so that neither the first page nor the first run waits for it.

`gc.freeze` is the cure for the dearest line of Streamlit's: it collects all garbage after every run of a page, holding the
interpreter, and torch alone brings 250,000 objects to walk. Frozen objects are not walked.
"""

import gc
import importlib
import logging
import threading
import time

from core.heavy import load_torch

LATER = "torch.fx.experimental.symbolic_shapes"
"""Imported by the first network whose tree is worked out; it would cost that page half a second."""

IDLE_SECONDS = 6.0
"""So long an empty server waits for its first visitor before it warms up by itself."""
VISIT_SECONDS = 2.5
"""So long the first visitor's page has the machine for itself."""

visited = threading.Event()
"""Set when the first browser tab has connected."""
done = threading.Event()
"""Set when everything heavy is in memory, or could not be brought there."""


def freeze() -> None:
    """Take everything that lives now out of the collector's sight. To be called after imports and before a model is made."""
    gc.collect()
    gc.freeze()


def thaw() -> None:
    """Undo `freeze` at the very end: what is frozen when the interpreter goes down is reported as lost memory."""
    gc.unfreeze()


def start() -> None:
    """Begin in a thread of its own, when the first page had its turn: imports hold the interpreter."""
    threading.Thread(target=_run, name="warm-up", daemon=True).start()


def _run() -> None:
    if visited.wait(IDLE_SECONDS):
        time.sleep(VISIT_SECONDS)
    try:
        load_torch()
        importlib.import_module(LATER)
    except ImportError:  # the engine will meet the same error and say it where a person sees it
        logging.getLogger(__name__).exception("torch could not be imported")
    finally:
        freeze()
        done.set()
