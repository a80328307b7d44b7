"""Examine: what is suspicious about the images of a data set. Finds and suggests; decides nothing and changes nothing.

Light to open: torch is loaded when an examination begins.
"""

from core.examine.finding import HARD, KINDS, Examination, Finding
from core.examine.shelf import examine, last_examination
from core.examine.still import divided, still_open

__all__ = ["HARD", "KINDS", "Examination", "Finding", "divided", "examine", "last_examination", "still_open"]
