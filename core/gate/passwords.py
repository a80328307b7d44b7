"""Passwords: hashed with scrypt, compared in constant time. Knows nothing of whose they are.

A hash names its own parameters, so that they can be raised and old hashes still be checked.
"""

import base64
import hashlib
import hmac
import secrets
import unicodedata

from core.errors import AccessError

N, R, P = 2**15, 8, 3
"""Cost of one check: 32 MiB, run three times. OWASP Password Storage Cheat Sheet: the third of its equal settings."""
SALT_BYTES, KEY_BYTES = 16, 32
MOST_MEMORY_BYTES = 128 * 2**20
SHORTEST, LONGEST = 8, 256
"""Characters: NIST SP 800-63B asks for at least 8, and for 64 at least to be taken."""
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of passwords that are made here: no letter that is taken for another one. 12 of them hold 59 bits."""


def checked(password: str) -> str:
    """`password` if it may be one. Raises AccessError (`gate.password_short`, `gate.password_long`)."""
    if len(password) < SHORTEST:
        raise AccessError("gate.password_short", least=SHORTEST)
    if len(password) > LONGEST:
        raise AccessError("gate.password_long", most=LONGEST)
    return password


def made_up() -> str:
    """A new password that can be read out: `kfm4-w8cd-rpzt`."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(3))


def hashed(password: str) -> str:
    """What is kept of a password: `scrypt$N$r$p$salt$key`."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"scrypt${N}${R}${P}${_text(salt)}${_text(_key(password, salt, N, R, P))}"


def fits(password: str, kept: str) -> bool:
    """True if `kept` is what `hashed` once gave for `password`. Takes as long for a wrong one as for the right one."""
    if len(password) > LONGEST:
        return False
    _, n, r, p, salt, key = kept.split("$")
    return hmac.compare_digest(_key(password, base64.b64decode(salt), int(n), int(r), int(p)), base64.b64decode(key))


def _key(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    same = unicodedata.normalize("NFKC", password).encode(
        "utf-8", "surrogatepass"
    )  # one keyboard sends é whole, another apart
    return hashlib.scrypt(same, salt=salt, n=n, r=r, p=p, maxmem=MOST_MEMORY_BYTES, dklen=KEY_BYTES)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


NOBODY = f"scrypt${N}${R}${P}${_text(bytes(SALT_BYTES))}${_text(bytes(KEY_BYTES))}"
"""Checked where there is no such person: the answer comes no sooner."""
