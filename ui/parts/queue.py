"""The queue for those who keep the machine: who trains, until about when, who is next; put in order, ended."""

import streamlit as st

from core.errors import ThawError
from core.events import Command, Pause, Stop
from ui import services, state
from ui.components.run_list import Row, run_list
from ui.names import shown
from ui.parts import notes, run_rows
from ui.services import Place
from ui.text import moment, plain, t, time_in, words

PAGE = 12


def show() -> None:
    """The rows, and what was pressed done."""
    places = services.queue()
    if not places:
        st.caption(f":material/bedtime: {t('queue.empty')}")
        return
    notes.at_field("queue")
    pages = -(-len(places) // PAGE)
    page = st.pagination(pages, key=state.key("queue", "page")) if pages > 1 else 1
    last = max(place.number for place in places)
    rows = [row(place, last) for place in places[(page - 1) * PAGE : page * PAGE]]
    _, pressed = run_list(rows, key=state.key("queue", "list"), words={**words("runlist.row."), "label": t("queue.title")})
    if pressed is not None:
        _do(*pressed, next(place for place in places if place.run.id == pressed[1]))
    _watch(_seen(places))


def row(place: Place, last: int) -> Row:
    """One run at work or in the queue, whose last place has the number `last`."""
    run, waits = place.run, place.number > 0
    until = t("queue.soon") if place.seconds is None else time_in(place.seconds)
    actions = ("end",)
    if waits:
        actions = (*(("up",) if place.number > 1 else ()), *(("down",) if place.number < last else ()), "end")
    return Row(
        id=run.id,
        name=shown(run.name),
        state=t("queue.place", n=place.number) if waits else t("state.running"),
        tone="" if waits else "warm",
        text=run_rows.summary(run),
        facts=(
            *(((t("queue.who"), shown(place.who or t("queue.nobody"))),) if services.administers() else ()),
            (t("queue.since"), moment(run.created)) if waits else (t("queue.until"), until),
        ),
        actions=tuple((action, t(f"queue.do.{action}")) for action in actions),
        tickable=False,
    )


def _do(action: str, run_id: str, place: Place) -> None:
    if action == "end":
        _end(place)
        return
    state.forgive("queue")
    try:
        services.move(run_id, -1 if action == "up" else 1)
    except ThawError as error:
        state.refuse("queue", error)
    st.rerun()


def _end(place: Place) -> None:
    """One sentence, and the ways to end it."""
    run, kind = place.run, "running" if place.number == 0 else "waiting"

    @st.dialog(t(f"queue.end.{kind}"), icon=":material/front_hand:")
    def ask() -> None:
        who = t("queue.end.of", name=plain(place.who)) if place.who else ""
        st.markdown(t(f"queue.end.{kind}.ask", name=plain(run.name), who=who))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("queue.end.no"), key=state.key("queue", "end-no"), type="tertiary"):
                st.rerun()
            if kind == "running" and _way("stop", t("train.stop"), run.id, Stop()):
                st.rerun()
            if _way("pause", t("queue.end.pause"), run.id, Pause(), primary=True):
                st.rerun()

    ask()


def _way(name: str, label: str, run_id: str, command: Command, *, primary: bool = False) -> bool:
    key, kind = state.key("queue", f"end-{name}"), "primary" if primary else "secondary"
    return st.button(label, key=key, type=kind, on_click=_tell, args=(run_id, command))  # type: ignore[arg-type]


def _tell(run_id: str, command: Command) -> None:
    state.forgive("queue")
    try:
        services.send(run_id, command)
    except ThawError as error:
        state.refuse("queue", error)


def _seen(places: list[Place]) -> tuple[tuple[str, str, int], ...]:
    return tuple((place.run.id, place.run.state, place.number) for place in places)


@st.fragment(run_every=3.0)
def _watch(seen: tuple[tuple[str, str, int], ...]) -> None:
    """The page is drawn anew when the queue is another one."""
    if _seen(services.queue()) != seen:
        st.rerun()
