"""Bring torch into memory in the background, so that neither the first page nor the first run waits for it.

`gc.freeze` is the cure for the dearest line of Streamlit's: it collects all garbage after every run of a page, holding the
interpreter, and torch alone brings 250,000 objects to walk. Frozen objects are not walked.
"""

import gc
import importlib
import logging
import threading

HEAVY = ("torch", "torchvision", "torch._dynamo")
"""torch._dynamo is imported by the first optimizer that is built; it would cost that run a second."""

done = threading.Event()
"""Set when everything heavy is in memory, or could not be brought there."""


def freeze() -> None:
    """Take everything that lives now out of the collector's sight. To be called after imports and before a model is made."""
    gc.collect()
    gc.freeze()


def start(delay_seconds: float) -> None:
    """Begin after `delay_seconds`, in a thread of its own: imports hold the interpreter, and the first page comes first."""
    threading.Thread(target=_run, args=(delay_seconds,), name="warm-up", daemon=True).start()


def _run(delay_seconds: float) -> None:
    threading.Event().wait(delay_seconds)
    try:
        for module in HEAVY:
            importlib.import_module(module)
    except ImportError:  # the engine will meet the same error and say it where a person sees it
        logging.getLogger(__name__).exception("could not import %s", module)
    finally:
        freeze()
        done.set()
