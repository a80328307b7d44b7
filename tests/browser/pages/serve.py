"""The demo page of the components on the real server, routes and middleware, with a pretended engine.

Usage: python serve.py PORT WORKSPACE
"""

import math
import random
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import streamlit as st
from starlette.middleware import Middleware

from core.curve import Curve
from core.errors import StoreError
from core.events import EpochDone, StepDone
from core.workspace import open_workspace
from ui import server, services
from ui.middleware import Guard
from ui.routes import ROUTES

LIVE, DONE, EMPTY = "01JCQ8Y5T0000000000000VE01", "01JCQ8Y5T0000000000000D0NE", "01JCQ8Y5T0000000000000E000"
STEPS_PER_EPOCH = 50


def step(number: int, of: int) -> StepDone:
    draw = random.Random(number)
    progress = number / of
    loss = 2.2 * math.exp(-4 * progress) + 0.12 + draw.gauss(0, 0.12) * (0.3 + math.exp(-3 * progress))
    right = min(32, max(0, round(32 * (1 - 0.9 * math.exp(-5 * progress)) + draw.gauss(0, 1.6))))
    rate = 1e-3 * min(1.0, progress / 0.05) * 0.5 * (1 + math.cos(math.pi * progress))
    epoch = (number - 1) // STEPS_PER_EPOCH + 1
    return StepDone(step=number, epoch=epoch, loss=max(0.02, loss), correct=right, images=32, lr=rate)


def epoch(number: int, of: int) -> EpochDone:
    progress = number / of
    loss, accuracy = 2.1 * math.exp(-3.6 * progress) + 0.2, 1 - 0.88 * math.exp(-4.4 * progress) - 0.02
    return EpochDone(
        epoch=number, step=number * STEPS_PER_EPOCH, train_loss=loss, train_accuracy=accuracy,
        val_loss=loss * 1.05, val_accuracy=accuracy - 0.01, val_macro_f1=None, best=False,
    )  # fmt: skip


def feed(curve: Curve, steps: int, of: int, pause: float) -> None:
    for number in range(1, steps + 1):
        curve.add_step(step(number, of))
        if number % STEPS_PER_EPOCH == 0:
            curve.add_epoch(epoch(number // STEPS_PER_EPOCH, of // STEPS_PER_EPOCH))
        if pause:
            time.sleep(pause)
    curve.done = True


class PretendedEngine:
    """Curves that look like those of real runs: one that goes on, a long one that is done, one that has not begun."""

    def __init__(self) -> None:
        self._curves = {LIVE: Curve(), DONE: Curve(), EMPTY: Curve()}
        feed(self._curves[DONE], 20_000, 20_000, 0)
        threading.Thread(target=feed, args=(self._curves[LIVE], 30_000, 1_000, 0.02), daemon=True).start()

    def curve(self, run_id: str) -> Curve:
        if run_id not in self._curves:
            raise StoreError("run.unknown", run=run_id)
        return self._curves[run_id]


class PretendedStore:
    """Knows the same runs; they belong to nobody."""

    def run(self, run_id: str) -> SimpleNamespace:
        if run_id not in (LIVE, DONE, EMPTY):
            raise StoreError("run.unknown", run=run_id)
        return SimpleNamespace(id=run_id, owner="")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    workspace = open_workspace(sys.argv[2])
    services.open(cast(Any, PretendedEngine()), cast(Any, PretendedStore()), workspace)
    yield
    services.close()


app = st.App(Path(__file__).with_name("demo.py"), lifespan=lifespan, middleware=[Middleware(Guard)], routes=ROUTES)

if __name__ == "__main__":
    port, sys.argv = int(sys.argv[1]), [server.__file__, *sys.argv[1:]]
    app.run(config=server.settings("127.0.0.1", port))
