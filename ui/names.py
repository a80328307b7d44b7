"""Names that people gave, made fit to be read: what cannot be seen becomes visible, what runs to the left is kept apart.

Knows characters only. Inside Streamlit's Markdown `text.plain` does more; the name itself, as data, is never changed.
"""

import re
import unicodedata

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, those that turn or hide what follows, and halves of characters; the joiners of emoji are none."""
_LEFTWARD = frozenset(("R", "AL", "AN"))
ISOLATE, END = "\u2068", "\u2069"


def shown(name: str) -> str:
    r"""`name` with every control character written out, as \u202e; isolated if it has letters that run to the left."""
    text = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", name)
    if any(unicodedata.bidirectional(letter) in _LEFTWARD for letter in text):
        return f"{ISOLATE}{text}{END}"
    return text
