"""`python -m core.pretraining`: make the weights of the bundled backbone, or go on making them.

Needs no data and no network. Stopped at any time it goes on where it last saved, every two minutes.
"""

import argparse
from pathlib import Path

import torch

from core.device import choose_precision
from core.pretraining import learn
from core.pretraining.pack import pack


def main() -> None:
    """Train for the minutes asked for, in parts if need be, and write the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m core.pretraining", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[54, 75, 79, 75], help="of each round of training")
    parser.add_argument("--start", type=Path, help="weights to begin with; 0 minutes of a first round go on with a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--state", type=Path, default=Path("pretraining.pt"), help="where the training itself is kept")
    parser.add_argument("--out", type=Path, default=Path("thaw-small.safetensors"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = learn.Settings(seed=options.seed)
    learning = learn.resume(options.state, settings) if options.state.is_file() else learn.begin(settings, options.start)
    precision = choose_precision("auto", torch.device("cpu"), learning.model)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    learn.run(learning, settings, minutes=options.minutes, file=options.state, half=half)
    print(f"{pack(learning, settings, options.out):,} bytes: {options.out}")


if __name__ == "__main__":
    main()
