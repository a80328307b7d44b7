"""Every word and figure that a page shows, in the language of whoever is looking; nothing of what they are about.

Names that people gave (of classes, files, data sets, runs) are data: `plain` makes them safe inside Streamlit's Markdown.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from core.errors import ThawError
from core.words import Value, catalogue, say
from ui import names, state

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:$<>&^=\"'])")
_SHORTCODE = re.compile(r"\\:(?=[\w+\-\\/]+\\:)")
_JOINER = "\u2060"


def t(key: str, /, **values: Value) -> str:
    """The text of `key` in the current language. Raises KeyError for an unknown key: a test finds it first."""
    return say(key, state.language(), **values)


def has(key: str) -> bool:
    """True if there is a text of that key."""
    return key in catalogue(state.language())


def words(prefix: str) -> dict[str, str]:
    """All texts whose keys begin with `prefix`, by the rest of the key: what a component is given."""
    return {key.removeprefix(prefix): text for key, text in catalogue(state.language()).items() if key.startswith(prefix)}


def cause(error: ThawError) -> str:
    """What happened, as Markdown in which the values are plain text."""
    return _sentence(f"error.{error.code}.cause", error.values)


def remedy(error: ThawError) -> str:
    """The way out, as Markdown in which the values are plain text."""
    return _sentence(f"error.{error.code}.remedy", error.values)


def code(error: ThawError) -> str:
    """Its code, small: what a person reads out to somebody who knows more, or gives to `thaw explain`."""
    return f":small[:gray[{t('error.code')} {plain(error.code)}]]"


def said(code: str, values: dict[str, Value]) -> str:
    """The text of a stored `code` (`notice.…`) with its values as plain text; the code itself if it has no words."""
    return _sentence(code, values) if has(code) else plain(code)


def said_cause(code: str, values: dict[str, Value] | None = None) -> str:
    """The cause of a stored error code as it is, for places that show no Markdown; the code itself if it has no words."""
    return _bare(f"error.{code}.cause", values or {}, code)


def said_remedy(code: str, values: dict[str, Value]) -> str:
    """The way out of a stored error code, as `said_cause`; '' if it has no words."""
    return _bare(f"error.{code}.remedy", values, "")


def _bare(key: str, values: dict[str, Value], otherwise: str) -> str:
    seen = {name: names.shown(value) if isinstance(value, str) else value for name, value in values.items()}
    return t(key, **seen) if has(key) else otherwise


def _sentence(key: str, values: dict[str, Value]) -> str:
    return t(key, **{name: plain(value) if isinstance(value, str) else value for name, value in values.items()})


def set_title(dataset_id: str, name: str) -> str:
    """The name of a data set, not yet `plain`: a demo's in the current language, any other as the person gave it."""
    key = f"demo.{dataset_id.partition('@')[0].removeprefix('demo:').removeprefix('demo-')}.title"
    return t(key) if dataset_id.startswith(("demo:", "demo-")) and has(key) else name


def version(code: str) -> str:
    """A version of a data set: `original`, or of the decisions made since."""
    return t("examine.version.original") if code == "original" else t("examine.version", version=code)


def strategy(name: str) -> str:
    """The title of a strategy; of rules made by hand, that they are."""
    return t(f"strategy.{name}.title") if has(f"strategy.{name}.title") else t("model.strategy.custom")


def plain(name: object) -> str:
    """`name` so that Streamlit's Markdown shows exactly its characters: no HTML, no formatting, no icons, no emoji codes."""
    text = _SPECIAL.sub(r"\\\1", names.shown(" ".join(str(name).split())))
    return _SHORTCODE.sub(f"\\\\:{_JOINER}", text)


def count(number: int) -> str:
    """A whole number with its thousands apart: 11,689,512."""
    return f"{number:,}"


def compact(number: float) -> str:
    """A large number in three digits: 11.7 M, 512, 1.82 k."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"


def size(number_bytes: float) -> str:
    """Bytes as people say them: 44.7 MB."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number_bytes >= limit:
            value = number_bytes / limit
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{number_bytes:.0f} B"


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.9731 as 97.3 %; a dash where there is nothing to say."""
    return "–" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.{digits}f} %"


def figure(value: float | None, digits: int = 3) -> str:
    """A loss or a rate in a few digits; a dash where there is nothing to say."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 1:
        return t("unit.under_a_second")
    whole = round(seconds)
    if whole < 60:
        return t("unit.seconds", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 10 and rest:
        return t("unit.minutes_seconds", minutes=minutes, seconds=rest)
    if minutes < 60:
        return t("unit.minutes", minutes=minutes)
    hours, minutes = divmod(minutes, 60)
    return t("unit.hours_minutes", hours=hours, minutes=minutes)


def moment(iso: str | None) -> str:
    """An ISO time in UTC as a short local date and time of the server."""
    if not iso:
        return "–"
    when = datetime.fromisoformat(iso)
    local = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone()
    return local.strftime("%Y-%m-%d %H:%M")


def time_in(seconds: float) -> str:
    """The time of day, on the server, in so many seconds: 14:20; with the date if that is another day."""
    now = datetime.now().astimezone()
    then = now + timedelta(seconds=seconds)
    return then.strftime("%H:%M" if then.date() == now.date() else "%Y-%m-%d %H:%M")


def listed(given: Iterable[str], most: int = 4) -> str:
    """Some names in one line, the rest as a number: cat, dog, owl and 7 more."""
    all_names = list(given)
    shown = t("unit.comma").join(all_names[:most])
    return shown if len(all_names) <= most else t("unit.and_more", names=shown, n=len(all_names) - most)
