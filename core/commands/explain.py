"""`thaw explain CODE`: the sentences behind the code on a card, for whoever hears it read out."""

import argparse
import string
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from core.console import plain
from core.errors import ThawError
from core.words import catalogue


def explain(args: argparse.Namespace, language: str) -> int:
    """Cause and remedy, with ‹names› where a card has values. Raises ThawError (`cli.no_code`)."""
    texts = catalogue(language)
    code = args.code.strip().casefold().removeprefix("error.")
    known = sorted(
        key[len("error.") : -len(".cause")] for key in texts if key.startswith("error.") and key.endswith(".cause")
    )
    if code not in known:
        near = get_close_matches(code, known, 3, 0.5)
        raise ThawError("cli.no_code", said=plain(args.code)[:60], near=", ".join(near) or "–")
    for part in ("cause", "remedy"):
        print(plain(_Blanks().format(texts[f"error.{code}.{part}"])))
    return 0


class _Blanks(string.Formatter):
    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Every placeholder is its own name."""
        return f"‹{key}›"

    def format_field(self, value: object, format_spec: str) -> str:
        """A name is no number, whatever form it should have."""
        return str(value)
