"""Names of files and classes as data: from bytes to text, which to pass over, which to refuse, how to sort.

Pure. Nothing here touches a disk, and no name that comes out of here is ever used as a path.
"""

import os
import re
import unicodedata
from collections.abc import Sequence

IGNORED = {"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "@eadir", "$recycle.bin", "icon\r"}
GB2312_SHARE = 0.8
"""Names in GBK are taken for such if this share of their characters is in GB2312, as everyday Chinese is."""


def parts(name: str) -> tuple[str, ...]:
    """The folders and the file of `name`; empty and '.' parts left out."""
    return tuple(part for part in name.split("/") if part not in {"", "."})


def ignored(name: str) -> bool:
    """Whether a system put this there, not a person: hidden files, `__MACOSX`, `Thumbs.db` and the like."""
    return any((part.startswith(".") and part != "..") or part.lower() in IGNORED for part in parts(name))


def unsafe(name: str) -> bool:
    """Whether a program that takes `name` for a path could write outside its folder."""
    flat = name.replace("\\", "/")
    return "\0" in name or flat.startswith("/") or re.match(r"[A-Za-z]:", flat) is not None or ".." in flat.split("/")


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key: 'cat2' before 'cat10', capitals beside small letters."""
    pieces = [piece for piece in re.split(r"([0-9]+)", name.casefold()) if piece]
    return [_number(piece) if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces], name


def _number(digits: str) -> tuple[int, int, str]:
    """Sorts like the number, however long it is: int() refuses more than 4,300 digits."""
    significant = digits.lstrip("0")
    return 0, len(significant), significant


def folded(name: str) -> str:
    """A form for finding a file by what a table calls it: composed letters, no capitals, forward slashes."""
    return "/".join(parts(unicodedata.normalize("NFC", name).casefold().replace("\\", "/")))


def readable(raw: Sequence[bytes], *, otherwise: str = "cp437") -> list[str]:
    """Texts of names that came as bytes of unknown encoding, all in one: UTF-8, else GBK if plausible, else `otherwise`.

    Chinese Windows packs names in GBK and macOS in UTF-8, both without saying so; the zip format's own default is cp437.
    """
    for encoding in ("utf-8", "gbk"):
        try:
            names = [name.decode(encoding) for name in raw]
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _plausible("".join(names)):
            return names
    return [name.decode(otherwise, "replace") for name in raw]


def spoken(name: str) -> str:
    """`name` as the file system gave it, as text that can be written down: bytes that are no UTF-8 are read as above."""
    return readable([os.fsencode(name)], otherwise="latin-1")[0]


def _plausible(text: str) -> bool:
    foreign = [letter for letter in text if not letter.isascii()]
    common = sum(1 for letter in foreign if letter.encode("gb2312", "ignore"))
    return common >= GB2312_SHARE * len(foreign)
