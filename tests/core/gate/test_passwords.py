"""Passwords: what is kept cannot be turned back, says its own cost, and fits one password only."""

import re

import pytest

from core.errors import AccessError
from core.gate import passwords


def test_a_hash_fits_its_password_and_no_other() -> None:
    kept = passwords.hashed("correct horse")
    assert passwords.fits("correct horse", kept)
    for wrong in ("Correct horse", "correct horse ", "", "correct hors", "x" * 10_000):
        assert not passwords.fits(wrong, kept), wrong


def test_the_same_password_is_kept_in_another_way_each_time() -> None:
    assert passwords.hashed("same password") != passwords.hashed("same password")
    assert "same" not in passwords.hashed("same password")


def test_what_is_kept_names_the_cost_that_owasp_asks_for() -> None:
    scheme, n, r, p, salt, key = passwords.hashed("12345678").split("$")
    assert (scheme, int(n), int(r), int(p)) == ("scrypt", 2**15, 8, 3)
    assert (len(salt), len(key)) == (24, 44)


def test_a_hash_of_another_cost_still_fits() -> None:
    salt = b"0123456789abcdef"
    kept = f"scrypt$1024$8$1${passwords._text(salt)}${passwords._text(passwords._key('an old one', salt, 1024, 8, 1))}"
    assert passwords.fits("an old one", kept)


def test_one_keyboard_sends_an_accent_whole_and_another_apart() -> None:
    assert passwords.fits("cafe\u0301 au lait", passwords.hashed("caf\u00e9 au lait"))


def test_nothing_fits_nobody() -> None:
    assert not passwords.fits("", passwords.NOBODY)


@pytest.mark.parametrize(("password", "code"), [("1234567", "gate.password_short"), ("x" * 257, "gate.password_long")])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str, code: str) -> None:
    with pytest.raises(AccessError) as failure:
        passwords.checked(password)
    assert failure.value.code == code


def test_a_password_that_is_made_up_can_be_read_out() -> None:
    made = {passwords.made_up() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"[a-hjkmnp-z2-9]{4}(-[a-hjkmnp-z2-9]{4}){2}", one) for one in made)
