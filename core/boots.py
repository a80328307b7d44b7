"""Boots: which processes work in a workspace, and which of them have died. Knows no runs.

Each process is known by a random id, never used again, whose lock file it holds. Process ids are used again after a crash;
times lie when clocks jump.
"""

import os
import secrets
from pathlib import Path

from core import locks
from core.errors import StoreError


class Boots:
    """The processes of the workspace at `root`; making one makes this process known as `own`.

    Raises StoreError (`workspace.unusable`) if that cannot be written down there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "boots"
        self.own = secrets.token_hex(8)
        try:
            self._folder.mkdir(exist_ok=True)
            self._hold = locks.born_locked(self._folder / f"{self.own}.lock")
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError("workspace.unusable", path=str(self._folder), reason=reason) from error
        self._server: locks.Hold | None = None
        self._servers = self._folder / "servers.txt"

    def is_alive(self, boot: str) -> bool:
        """True while the process of that id lives."""
        return boot == self.own or locks.is_held(self._folder / f"{boot}.lock")

    def serve(self) -> None:
        """Become the one server. Raises StoreError (`store.served`) if another living process is."""
        if self._server is None:
            self._server = locks.take(self._root / ".server.lock")
            if self._server is None:
                raise StoreError("store.served", path=str(self._root))
            with self._servers.open("a", encoding="ascii") as file:
                file.write(f"{self.own}\n")
                file.flush()
                os.fsync(file.fileno())

    def earlier_servers(self) -> frozenset[str]:
        """Ids of the servers whose runs nobody has taken over so far."""
        try:
            said = self._servers.read_text("ascii", errors="replace").split()
        except FileNotFoundError:
            said = []
        return frozenset(said) - {self.own}

    def taken_over(self) -> None:
        """What earlier servers left is taken care of: only this one counts from now on."""
        draft = self._servers.with_name(f".servers.{self.own}")
        draft.write_text(f"{self.own}\n", "ascii")
        os.replace(draft, self._servers)

    def sweep(self) -> None:
        """Delete the lock files of the dead; an absent file means dead as well."""
        for file in self._folder.glob("*.lock"):
            if not self.is_alive(file.stem):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Count as dead from now on."""
        self._hold.path.unlink(missing_ok=True)
        self._hold.release()
        if self._server:
            self._server.release()
            self._server = None
