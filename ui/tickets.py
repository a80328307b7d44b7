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
        self._known: dict[str, tuple[Path, float]] = {}

    def new(self) -> str:
        """A token for one new folder, good for an hour after it was last used."""
        token = secrets.token_urlsafe(24)
        folder = self._root / secrets.token_hex(16)
        with self._lock:
            now = time.monotonic()
            self._known = {t: (f, end) for t, (f, end) in self._known.items() if end > now}
            self._known[token] = (folder, now + LIFETIME_SECONDS)
        return token

    def folder(self, token: str) -> Path | None:
        """The folder that `token` opens, or None if there is no such right any more. Nothing is made on the disk."""
        with self._lock:
            folder, ends = self._known.get(token, (None, 0.0))
            if folder is None or time.monotonic() > ends:
                return None
            self._known[token] = (folder, time.monotonic() + LIFETIME_SECONDS)
            return folder
