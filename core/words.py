"""Every word a person reads, in English and Chinese: flat catalogues under `assets/locales/<language>/*.json`.

Knows keys, languages and placeholders; nothing of who is asking. A key is spoken by the first file that holds it, and no
two files may hold the same key.
"""

import json
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
LOCALES = Path(__file__).resolve().parent.parent / "assets" / "locales"

Value = str | int | float


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of `language`, key to template. Raises ValueError if two files hold the same key."""
    texts: dict[str, str] = {}
    for file in sorted((LOCALES / language).glob("*.json")):
        part: dict[str, str] = json.loads(file.read_text("utf-8"))
        twice = texts.keys() & part.keys()
        if twice:
            raise ValueError(f"{file.name} repeats {sorted(twice)}")
        texts |= part
    return texts


def say(key: str, language: str = "en", /, **values: Value) -> str:
    """The text of `key` with `{placeholders}` filled in.

    Where `n` is 1 and a key `<key>.one` exists, that one is spoken: the only plural rule that two languages need.
    Raises KeyError for a key or a placeholder that is missing: tests keep both from happening.
    """
    texts = catalogue(language)
    if values.get("n") == 1 and f"{key}.one" in texts:
        key = f"{key}.one"
    return texts[key].format(**values)
