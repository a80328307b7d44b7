"""The draft, the open run and the keys: what a widget shows comes from here, and what a person does to it goes back here."""

import pytest
from streamlit.testing.v1 import AppTest

from core.recipe import AUGMENT_PRESETS, Augment, Recipe
from core.workspace import Workspace
from ui import services, state

pytestmark = pytest.mark.usefixtures("house")


def two_widgets() -> None:
    import streamlit as st

    from ui import state

    st.number_input("epochs", min_value=1, max_value=100, **state.field("epochs"))
    st.slider("part", 0, 50, **state.field("val_fraction", show=lambda x: round(100 * x), take=lambda x: x / 100))
    st.slider("turn", 0.0, 180.0, **state.field("augment.rotation"))
    st.button("preset", on_click=state.edit, kwargs={"epochs": 33})
    error = state.refused("epochs")
    if error:
        st.caption(error.code)


def draft(at: AppTest) -> Recipe:
    recipe: Recipe = at.session_state["thaw.draft"]
    return recipe


def test_a_widget_shows_the_draft_and_edits_it() -> None:
    at = AppTest.from_function(two_widgets).run()
    assert at.number_input[0].value == services.first_draft().epochs
    at.number_input[0].set_value(7).run()
    at.slider[0].set_value(25).run()
    assert (draft(at).epochs, draft(at).val_fraction) == (7, 0.25)


def test_a_change_from_elsewhere_moves_the_widget() -> None:
    at = AppTest.from_function(two_widgets).run()
    at.number_input[0].set_value(7).run()
    at.button[0].click().run()
    assert at.number_input[0].value == 33


def test_a_field_inside_a_field_leaves_its_neighbours_alone() -> None:
    at = AppTest.from_function(two_widgets).run()
    at.session_state["thaw.draft"] = Recipe(augment=AUGMENT_PRESETS["standard"])
    at.run()
    at.slider[1].set_value(45.0).run()
    assert draft(at).augment == Augment(**{**AUGMENT_PRESETS["standard"].model_dump(), "rotation": 45.0})


def test_a_refused_change_leaves_the_draft_and_is_explained_until_the_next_try() -> None:
    at = AppTest.from_function(two_widgets).run()
    at.session_state["thaw.draft"] = Recipe(epochs=10, warmup_epochs=5.0)
    at.run()
    at.number_input[0].set_value(3).run()
    assert (draft(at).epochs, at.number_input[0].value, at.caption[0].value) == (10, 10, "recipe.warmup_too_long")
    at.number_input[0].set_value(8).run()
    assert (draft(at).epochs, list(at.caption)) == (8, [])


def test_the_draft_outlives_the_tab(house: Workspace) -> None:
    at = AppTest.from_function(two_widgets).run()
    at.number_input[0].set_value(17).run()
    assert AppTest.from_function(two_widgets).run().number_input[0].value == 17
    (house.root / "draft.json").write_text("{not json")
    assert AppTest.from_function(two_widgets).run().number_input[0].value == services.first_draft().epochs


def the_run() -> None:
    import streamlit as st

    from ui import state

    st.button("open", on_click=state.show_run, args=("01ABC",))
    st.button("close", on_click=state.show_run, args=(None,))
    st.text(str(state.run_id()))
    st.text(str(state.address()))


def test_the_open_run_stands_in_the_address() -> None:
    at = AppTest.from_function(the_run).run()
    assert at.text[0].value == "None"
    at.button[0].click().run()
    assert at.query_params["run"] == "01ABC"
    assert at.text[1].value == "{'run': '01ABC'}"
    at.button[1].click().run()
    assert (at.text[0].value, "run" in at.query_params) == ("None", False)


def test_a_reload_finds_the_run_in_the_address() -> None:
    at = AppTest.from_function(the_run)
    at.query_params["run"] = "01XYZ"
    assert at.run().text[0].value == "01XYZ"


def speaking() -> None:
    import streamlit as st

    from ui import state

    first = state.language()
    if st.button("switch", on_click=lambda: state.speak("en")):
        st.text(f"now {state.language()}")
    state.speak("zh" if first == "en" else first)
    st.text(f"{first} {state.language()}")


def test_the_language_can_change_in_the_middle_of_a_run_and_by_the_address() -> None:
    at = AppTest.from_function(speaking).run()
    assert at.text[0].value == "en zh"
    assert at.run().text[0].value == "zh zh"
    assert [text.value for text in at.button[0].click().run().text] == ["now en", "en zh"]
    at.query_params["lang"] = "en"
    assert at.run().text[0].value == "en zh"


def entering() -> None:
    import streamlit as st

    from ui import state

    st.text(str(state.enter(st.query_params.get("page", "data"))))


def test_entering_a_page_is_told_from_staying_on_it() -> None:
    at = AppTest.from_function(entering).run()
    assert at.text[0].value == "True"
    assert at.run().text[0].value == "False"
    at.query_params["page"] = "model"
    assert at.run().text[0].value == "True"


def test_keys_are_made_of_page_and_name() -> None:
    assert state.key("train", "watch", "01A") == "train.watch.01A"
