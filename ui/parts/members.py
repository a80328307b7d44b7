"""People for those who keep the machine: who has an account, what of the disk is theirs. Added, given passwords, removed."""

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from core.errors import ThawError
from ui import services, state
from ui.components.run_list import Row, run_list
from ui.names import shown
from ui.parts import notes
from ui.services import Member
from ui.text import moment, plain, size, t, words

PAGE = 12
GB = 2**30
_DONE = "members.over"


def show() -> None:
    """A button to add somebody, the rows, and what holds for all."""
    people = services.members()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(t("members.lead"), width="stretch")
        if st.button(
            t("members.add"), key=state.key("members", "add"), icon=":material/person_add:", type="primary", width="content"
        ):
            _add()
    notes.at_field("members")
    pages = max(1, -(-len(people) // PAGE))
    page = st.pagination(pages, key=state.key("members", "page")) if pages > 1 else 1
    most = services.access().limits.disk_bytes
    rows = [row(member, most) for member in people[(page - 1) * PAGE : page * PAGE]]
    _, pressed = run_list(
        rows, key=state.key("members", "list"), words={**words("runlist.row."), "label": t("admin.people")}
    )
    if pressed is not None:
        action, person_id = pressed
        name = next(member.person.name for member in people if member.person.id == person_id)
        {"password": _password, "admin": _role, "member": _role, "remove": _remove}[action](action, name)
    with st.expander(t("members.all"), icon=":material/group:", key=state.key("members", "all")):
        _class()
        _limits()


def row(member: Member, most: int) -> Row:
    """One person, who may use `most` bytes of the disk unless they are an admin."""
    person, me = member.person, services.access().person()
    own = me is not None and me.id == person.id
    used = size(member.used_bytes) if member.used_bytes < GB / 10 else f"{member.used_bytes / GB:.1f} GB"
    return Row(
        id=person.id,
        name=shown(person.name),
        state=t(f"cli.users.role.{'admin' if person.admin else 'member'}"),
        tone="warm" if person.admin else "",
        text=t(f"members.password.{'own' if person.own_password else 'class'}"),
        facts=(
            (t("members.disk"), used if person.admin else t("members.disk.of", used=used, most=f"{most / GB:g} GB")),
            (t("members.active"), str(member.active)),
            (t("cli.users.table.since"), moment(datetime.fromtimestamp(person.created, UTC).isoformat())[:10]),
        ),
        actions=()
        if own
        else tuple((one, t(f"members.do.{one}")) for one in ("password", "member" if person.admin else "admin", "remove")),
        note=t("members.full") if not person.admin and member.used_bytes >= most else "",
        tickable=False,
    )


def _add() -> None:
    @st.dialog(t("members.add"), icon=":material/person_add:")
    def ask() -> None:
        _close_if_done()
        name = st.text_input(t("members.name"), key=state.key("members", "name"), max_chars=40)
        admin = st.checkbox(t("members.as_admin"), key=state.key("members", "as-admin"), help=t("members.as_admin.help"))
        if st.button(t("members.add.go"), key=state.key("members", "add-go"), type="primary"):
            try:
                person, password = services.add_member(name, admin=admin)
            except ThawError as error:
                notes.failure(error, key=state.key("members", "add-refused"))
                return
            _hand_over(t("members.added", name=plain(person.name)), password)

    ask()


def _hand_over(sentence: str, password: str) -> None:
    """The one time that a password is shown."""
    st.markdown(f":green[:material/check_circle:] {sentence}")
    st.code(password, language=None)
    st.caption(t("members.once"))
    st.button(t("members.done"), key=state.key("members", "done"), on_click=state.put, args=(_DONE, True))


def _close_if_done() -> None:
    """A dialog is drawn again alone, without what was pressed before: the page has to be."""
    if state.value(_DONE):
        state.forget(_DONE)
        st.rerun()


def _password(action: str, name: str) -> None:
    @st.dialog(t("members.do.password"), icon=":material/key:")
    def ask() -> None:
        _close_if_done()
        st.markdown(t("members.password.ask", name=plain(name)))
        if st.button(t("members.password.go"), key=state.key("members", "password-go"), type="primary"):
            try:
                password = services.new_password(name)
            except ThawError as error:
                notes.failure(error, key=state.key("members", "password-refused"))
                return
            _hand_over(t("members.password.new", name=plain(name)), password)

    ask()


def _role(action: str, name: str) -> None:
    _confirm(action, name, lambda: services.set_admin(name, action == "admin"))


def _remove(action: str, name: str) -> None:
    _confirm(action, name, lambda: services.remove_member(name))


def _confirm(action: str, name: str, act: Callable[[], object]) -> None:
    @st.dialog(t(f"members.do.{action}"), icon=":material/person:")
    def ask() -> None:
        st.markdown(t(f"members.{action}.ask", name=plain(name)))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("members.no"), key=state.key("members", "no"), type="tertiary"):
                st.rerun()
            yes = state.key("members", "yes")
            if st.button(t(f"members.{action}.yes"), key=yes, type="primary", on_click=_carry_out, args=(act,)):
                st.rerun()

    ask()


def _carry_out(act: Callable[[], object]) -> None:
    state.forgive("members")
    try:
        act()
    except ThawError as error:
        state.refuse("members", error)


def _class() -> None:
    """One password for everybody who enters a name of their own."""
    on = services.access().accounts.has_class_password
    st.markdown(f"**{t('members.class')}**")
    st.caption(t(f"members.class.{'on' if on else 'off'}"))
    with st.container(horizontal=True):
        if st.button(t("members.class.new"), key=state.key("members", "class-new"), icon=":material/key:"):
            _new_class_password()
        if on and st.button(t("members.class.remove"), key=state.key("members", "class-remove"), type="tertiary"):
            _confirm("class", "", lambda: services.class_password(False))


def _new_class_password() -> None:
    @st.dialog(t("members.class.new"), icon=":material/key:")
    def ask() -> None:
        _close_if_done()
        st.markdown(t("members.class.ask"))
        if st.button(t("members.password.go"), key=state.key("members", "class-go"), type="primary"):
            _hand_over(t("members.class.made"), services.class_password(True))

    ask()


def _limits() -> None:
    """What each member may take."""
    limits = services.access().limits
    st.markdown(f"**{t('members.limits')}**")
    with st.grid(2, min_column_width=150, gap="small"):
        disk = st.number_input(
            t("members.limits.disk"), 1, 2**20, max(1, limits.disk_bytes // GB), key=state.key("members", "disk")
        )
        queued = st.number_input(t("members.limits.queued"), 1, 1000, limits.queued, key=state.key("members", "queued"))
    wanted = limits.changed(disk_bytes=int(disk) * GB, queued=int(queued))
    if st.button(t("members.limits.save"), key=state.key("members", "limits-save"), disabled=wanted == limits):
        _carry_out(lambda: services.set_limits(wanted))
        st.rerun()
