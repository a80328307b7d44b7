"""Heads: the best linear layer on features that somebody else has computed. Pure mathematics; knows no image and no network.

The ladder: `decompose` the features once; `ridge` gives the first number and `logme` and `h_score` cost nothing more;
`softmax` finds the optimum that training looks for; `sweep` trains many rates at once, with curves. Features and labels lie
on the CPU or on a CUDA device, which has double precision.

Legend of every shape here: N images, D features, C classes, r rank of the centred features, L strengths, K configurations,
E epochs, B images of a batch.
"""

from core.heads.head import Head
from core.heads.ridge import Ridge, ridge, sharpness
from core.heads.softmax import Softmax, softmax
from core.heads.spectrum import Spectrum, decompose
from core.heads.sweep import Rate, Sweep, sweep
from core.heads.transfer import h_score, logme

__all__ = [
    "Head",
    "Rate",
    "Ridge",
    "Softmax",
    "Spectrum",
    "Sweep",
    "decompose",
    "h_score",
    "logme",
    "ridge",
    "sharpness",
    "softmax",
    "sweep",
]
