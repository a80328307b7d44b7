"""Rights to upload: a page asks for one, the browser shows it to the upload route. Knows no HTTP and no page.

A route sees no session, so the right travels as an unguessable token that names one new folder and ends by itself.
"""

import secrets
import threading
import time
from pathlib import Path

LIFETIME_SECONDS = 3600.0


class Tickets:
    """Tokens and the folders they open. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Path, str, float]] = {}

    def new(self, owner: str = "") -> str:
        """A token for one new folder of `owner`, good for an hour after it was last used."""
        token = secrets.token_urlsafe(24)
        folder = self._root / f"{owner}{'.' if owner else ''}{secrets.token_hex(16)}"
        with self._lock:
            now = time.monotonic()
            self._known = {t: right for t, right in self._known.items() if right[2] > now}
            self._known[token] = (folder, owner, now + LIFETIME_SECONDS)
        return token

    def folder(self, token: str, owner: str = "") -> Path | None:
        """The folder that `token` opens to `owner`, or None if there is no such right. Makes nothing on the disk."""
        with self._lock:
            folder, whose, ends = self._known.get(token, (None, "", 0.0))
            if folder is None or whose != owner or time.monotonic() > ends:
                return None
            self._known[token] = (folder, owner, time.monotonic() + LIFETIME_SECONDS)
            return folder
