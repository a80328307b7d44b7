"""The audit log for those who keep the machine: who did what and when, newest first. A table of plain text."""

import pandas as pd
import streamlit as st

from core.errors import ThawError
from core.words import Value
from ui import services, state
from ui.names import shown
from ui.text import has, moment, t

PAGE = 25


def show() -> None:
    """One page of the log."""
    page = int(state.value(state.key("diary", "page"), 1) or 1)
    lines, total = services.log((page - 1) * PAGE, PAGE)
    if not total:
        st.caption(f":material/edit_note: {t('diary.empty')}")
        return
    st.caption(t("diary.lead", n=total))
    rows = [
        (moment(str(line.get("at", ""))), shown(str(line.get("who", ""))) or "–", act(line), about(line)) for line in lines
    ]
    columns = [t(f"diary.{name}") for name in ("at", "who", "act", "about")]
    st.dataframe(
        pd.DataFrame(rows, columns=columns),
        key=state.key("diary", "table"),
        hide_index=True,
        height=35 * len(rows) + 38,
        column_config={
            columns[0]: st.column_config.TextColumn(width=130),
            columns[1]: st.column_config.TextColumn(width=120),
            columns[2]: st.column_config.TextColumn(width="medium"),
            columns[3]: st.column_config.TextColumn(width="large"),
        },
        alt=t("diary.alt"),
    )
    with st.container(horizontal_alignment="center"):
        st.pagination(max(1, -(-total // PAGE)), key=state.key("diary", "page"))


def act(line: dict[str, Value]) -> str:
    """What was done, in words; its code if there are none."""
    code = str(line.get("act", ""))
    return t(f"audit.{code}") if has(f"audit.{code}") else shown(code)


def about(line: dict[str, Value]) -> str:
    """To what: names where the thing is still there, else what was written down."""
    said = []
    for key, value in line.items():
        if key == "run":
            said.append(_run(str(value)))
        elif key == "dataset":
            said.append(services.dataset_name(str(value)) or str(value))
        elif key in ("name", "address", "decision"):
            said.append(str(value))
        elif key == "admin" and value:
            said.append(t("cli.users.role.admin"))
        elif key in ("runs", "places", "queued"):
            said.append(f"{t(f'diary.{key}')} {value}")
        elif key == "disk_bytes" and isinstance(value, int):
            said.append(f"{t('members.disk')} {value // 2**30} GB")
    return " · ".join(shown(one) for one in dict.fromkeys(said))


def _run(run_id: str) -> str:
    try:
        return services.run(run_id).name
    except ThawError:
        return t("diary.gone", id=run_id[-8:].lower())
