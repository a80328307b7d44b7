"""The only owner of st.session_state: the draft Recipe, the chosen language, the open run, and the keys of widgets.

A widget never owns truth: it is filled from here whenever it is drawn, and what a person does to it comes back through a
callback. Knows nothing of pages; every browser tab has its own state, and the draft outlives a reload through `services`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import RecipeError, ThawError
from core.recipe import Recipe
from core.words import LANGUAGES
from ui import services

LANGUAGE = "lang"
RUN = "run"
_DRAFT = "thaw.draft"
_REFUSED = "thaw.refused"
_PAGE = "thaw.page"
_OPEN = "thaw.run"
_LANGUAGE = "thaw.language"
_SPOKEN = "thaw_spoken"


# --- language -------------------------------------------------------------------------------------------------------------


def language() -> str:
    """Code of the language to speak: as the address says, else as switched in this tab, else as the browser asks.

    A page asks for hundreds of words: within one run of its script the answer is kept.
    """
    run = get_script_run_ctx(suppress_warning=True)
    if run is None:
        return _asked_for()
    address, known = vars(run).get(_SPOKEN, (None, ""))
    if address != run.query_string:
        known = _asked_for()
        vars(run)[_SPOKEN] = run.query_string, known
    return str(known)


def _asked_for() -> str:
    for chosen in (st.query_params.get(LANGUAGE), st.session_state.get(_LANGUAGE)):
        if chosen in LANGUAGES:
            return str(chosen)
    return browser_language()


def speak(code: str) -> None:
    """Switch this tab to a language and write it into the address, so that a link and a reload speak it too."""
    st.session_state[_LANGUAGE] = code
    if (run := get_script_run_ctx(suppress_warning=True)) is not None:
        vars(run).pop(_SPOKEN, None)
    if st.query_params.get(LANGUAGE) != code:
        st.query_params[LANGUAGE] = code


def keep_language() -> None:
    """Carry a chosen language over to the next page: going there leaves the address behind."""
    chosen = st.query_params.get(LANGUAGE) or st.session_state.get(_LANGUAGE)
    if chosen in LANGUAGES:
        speak(str(chosen))


def browser_language() -> str:
    """What the browser asks for, of the languages there are: where the switch begins."""
    wanted = (st.context.locale or "").lower()
    return next((code for code in LANGUAGES if wanted.startswith(code)), LANGUAGES[0])


# --- the draft ------------------------------------------------------------------------------------------------------------


def recipe() -> Recipe:
    """What the next run will be, as chosen so far."""
    draft = st.session_state.get(_DRAFT)
    if not isinstance(draft, Recipe):
        draft = services.first_draft()
        st.session_state[_DRAFT] = draft
    return draft


def replace(new: Recipe) -> None:
    """Make `new` the draft."""
    if new != st.session_state.get(_DRAFT):
        st.session_state[_DRAFT] = new
        services.keep_draft(new)


def edit(**changes: Any) -> bool:
    """Change some fields of the draft. A refused change leaves it as it was and is remembered for `refused`."""
    forgive(*changes)
    try:
        replace(recipe().changed(**changes))
    except RecipeError as error:
        st.session_state.setdefault(_REFUSED, {}).update(dict.fromkeys(changes, error))
        return False
    return True


def refuse(field: str, error: ThawError) -> None:
    """Remember why `field` could not be changed, until it is changed or the page is left."""
    st.session_state.setdefault(_REFUSED, {})[field] = error


def refused(field: str) -> ThawError | None:
    """Why the last change of `field` was not taken, or None."""
    error: ThawError | None = st.session_state.get(_REFUSED, {}).get(field)
    return error


def forgive(*fields: str) -> None:
    """Forget refusals of `fields`."""
    for field in fields:
        st.session_state.get(_REFUSED, {}).pop(field, None)


# --- widgets --------------------------------------------------------------------------------------------------------------


def key(*parts: object) -> str:
    """The key of a widget: its page and its name, `train.epochs`. The one place where keys are made."""
    return ".".join(str(part) for part in parts)


def field(
    name: str,
    *,
    show: Callable[[Any], Any] = lambda value: value,
    take: Callable[[Any], Any] = lambda value: value,
    twin: str = "",
    default: str = "value",
    options: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Arguments of a widget that shows and edits one field of the draft: `st.slider(label, **field("epochs"))`.

    `show` turns the field into what the widget holds, `take` turns that back. `augment.rotation` reaches into a part.
    `twin` tells a second widget of the same field from the first. `default` is what the widget calls its first value; a
    select box is given its `options` instead.
    """
    widget = key("recipe", name, twin) if twin else key("recipe", name)
    shown = show(_look(name))
    follow(widget, shown)
    first = {default: shown} if options is None else {"index": list(options).index(shown)}
    return {"key": widget, "on_change": _taken, "args": (widget, name, take), **first}


def follow(widget: str, value: Any) -> None:
    """Let a widget that is drawn already show `value`; before the first time its default does that.

    A value set for a widget that no browser has seen yet can get lost when the script runs twice in quick succession: the
    widget then shows its default, and sends it back as if a person had chosen it.
    """
    if st.session_state.get(widget, value) != value:
        st.session_state[widget] = value


def value(widget: str, default: Any = None) -> Any:
    """What the widget (or the memory) of that key holds."""
    return st.session_state.get(widget, default)


def put(name: str, thing: Any) -> None:
    """Remember something for this tab that is no widget."""
    st.session_state[name] = thing


def forget(name: str) -> None:
    """Forget what `put` remembered."""
    st.session_state.pop(name, None)


def _look(name: str) -> Any:
    thing: Any = recipe()
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def _taken(widget: str, name: str, take: Callable[[Any], Any]) -> None:
    new = st.session_state.get(widget)
    if new is None:  # an emptied number or a pill clicked off: the draft stays, and the widget is filled again
        return
    head, _, rest = name.partition(".")
    taken = take(new)
    try:
        edit(**{head: {**getattr(recipe(), head).model_dump(), rest: taken} if rest else taken})
    finally:
        error = refused(head)
        if rest and error is not None:
            refuse(name, error)


# --- where this tab is ----------------------------------------------------------------------------------------------------


def enter(page: str) -> bool:
    """Say which page is drawn; True if it was another one before. Old refusals end with the page they were made on."""
    before = st.session_state.get(_PAGE)
    st.session_state[_PAGE] = page
    if before != page:
        st.session_state.pop(_REFUSED, None)
    return before != page


def run_id() -> str | None:
    """The run that this tab has open: from the address, so that a reload shows it again, else as last opened here."""
    return st.query_params.get(RUN) or st.session_state.get(_OPEN)


def show_run(run: str | None) -> None:
    """Open a run in this tab (None: none) and write it into the address."""
    st.session_state[_OPEN] = run
    if run is None:
        st.query_params.pop(RUN, None)
    elif st.query_params.get(RUN) != run:
        st.query_params[RUN] = run


def address() -> dict[str, str]:
    """The part of the address that travels from page to page."""
    parts = {RUN: run_id(), LANGUAGE: st.query_params.get(LANGUAGE)}
    return {name: value for name, value in parts.items() if value}
