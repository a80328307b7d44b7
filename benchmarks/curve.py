"""What a chart's answer costs the server, however long the run is: milliseconds and bytes.

    python benchmarks/curve.py [--points 1000 100000 10000000]

A chart that knows everything but the last steps asks what is new (`tick`); one that has just been opened asks for all
(`reset`), thinned to the exact extremes of equal bins. Beside it: building a plotly figure of all points and its JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import orjson

from core.curve import Curve
from core.steps import Steps


def filled(points: int) -> Curve:
    """A curve of so many steps that falls, with noise."""
    rng = np.random.default_rng(0)
    rows = np.zeros(points, Steps.of([]).rows.dtype)
    rows["step"] = np.arange(1, points + 1)
    rows["loss"] = 3 / np.sqrt(1 + rows["step"] / 100) + rng.random(points)
    rows["images"], rows["correct"], rows["lr"] = 32, rng.integers(0, 32, points), 1e-3
    curve = Curve()
    curve.add_steps(Steps(rows))
    return curve


def timed(work: Callable[[], bytes], rounds: int = 20) -> tuple[float, int]:
    """Median milliseconds and bytes."""
    taken, size = [], 0
    for _ in range(rounds):
        begin = time.perf_counter()
        size = len(work())
        taken.append(1000 * (time.perf_counter() - begin))
    return statistics.median(taken), size


def naive(curve: Curve, points: int) -> bytes:
    """What `st.plotly_chart` would send."""
    import plotly.graph_objects as go

    answer = curve._steps
    figure = go.Figure(go.Scattergl(x=answer.x, y=answer.column(0).astype(np.float32)))
    return str(figure.to_json()).encode()


def main() -> None:
    """Print a table and one line of JSON for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", type=int, default=[1000, 10_000, 100_000, 1_000_000, 10_000_000])
    options = parser.parse_args()
    print(f"{'points':>12}{'tick ms':>10}{'KiB':>8}{'reset ms':>10}{'KiB':>8}{'naive ms':>10}{'KiB':>10}")
    for points in options.points:
        curve = filled(points)
        tick = timed(lambda: orjson.dumps(curve.since(points - 20, curve.epoch)))  # noqa: B023 - called at once
        reset = timed(lambda: orjson.dumps(curve.since(-1, "")))  # noqa: B023
        plain = timed(lambda: naive(curve, points), 3) if points <= 1_000_000 else (float("nan"), 0)  # noqa: B023
        row = {"points": points, "tick": tick, "reset": reset, "naive": plain}
        print(f"{points:12,}" + "".join(f"{ms:10.2f}{size / 1024:8.1f}" for ms, size in (tick, reset, plain)), flush=True)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
