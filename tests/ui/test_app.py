"""The script that Streamlit runs: the frame around every page, in the language of whoever looks."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.events import Discard
from core.recipe import Recipe
from core.words import catalogue
from core.workspace import Workspace
from ui import navigation, services


def script() -> None:
    """As ui/app.py; from a folder of its own, for AppTest takes ui/pages for scripts whatever the server says."""
    from ui import app

    app.main()


@pytest.fixture
def opened(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The whole app over an empty workspace."""
    monkeypatch.setattr(services, "demo_ids", tuple)

    def run(locale: str = "en-GB", **address: str) -> AppTest:
        at = AppTest.from_function(script, default_timeout=60)
        at.context = {"locale": locale}
        for key, value in address.items():
            at.query_params[key] = value
        return at.run()

    return run


def captions(at: AppTest) -> str:
    return "\n".join(one.value for one in at.caption)


def test_alone_it_says_how_to_start_thaw() -> None:
    at = AppTest.from_function(script, default_timeout=60).run()
    assert at.title[0].value == catalogue("en")["app.alone.title"]
    assert "thaw" in at.text[0].value
    assert not at.exception


def test_the_first_page_is_start_and_the_frame_says_what_is_missing(
    opened: Callable[..., AppTest], house: Workspace
) -> None:
    at = opened()
    assert at.title[0].value == catalogue("en")["start.title"]
    assert catalogue("en")["frame.no_data"] in captions(at)
    assert str(house.root) in captions(at)
    assert not at.exception


def test_the_frame_says_what_is_chosen(opened: Callable[..., AppTest], flowers: str) -> None:
    services.keep_draft(Recipe(dataset=flowers, backbone="resnet18", strategy="custom"))
    said = captions(opened())
    assert "flowers" in said
    assert "resnet18" in said
    assert catalogue("en")["model.strategy.custom"] in said


@pytest.mark.parametrize(("page", "said"), [("train", "flowers"), ("results", "flowers"), ("model", None), ("", None)])
def test_where_a_run_is_shown_the_frame_names_what_it_learned_from_elsewhere_what_the_next_one_will(
    house: Workspace, flowers: str, page: str, said: str | None
) -> None:
    def script(page: str) -> None:
        from ui import frame

        frame.header(page)

    run_id = services.submit(Recipe(dataset=flowers, name="first"))
    at = AppTest.from_function(script, args=(page,), default_timeout=60)
    at.query_params["run"] = run_id
    assert (said or catalogue("en")["frame.no_data"]) in [one.value.split(" ", 1)[1] for one in at.run().caption]
    assert not at.exception


def test_the_frame_says_what_is_being_trained(opened: Callable[..., AppTest], flowers: str) -> None:
    services.submit(Recipe(dataset=flowers, name="*first*"))
    services.submit(Recipe(dataset=flowers, name="second"))
    said = " ".join(str(text.value) for text in opened().markdown)
    assert r"\*first\*: 0 %" in said
    assert "1 waiting" in said


def test_the_switch_changes_the_language_and_the_address(opened: Callable[..., AppTest]) -> None:
    at = opened()
    at.segmented_control(key="frame.language").set_value("zh").run()
    assert at.title[0].value == catalogue("zh")["start.title"]
    assert at.query_params["lang"] == "zh"


def test_a_link_brings_its_language(opened: Callable[..., AppTest]) -> None:
    assert opened("zh-CN", lang="en").title[0].value == catalogue("en")["start.title"]
    at = opened("zh-CN")
    assert (at.title[0].value, "lang" in at.query_params) == (catalogue("zh")["start.title"], False)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_page_has_a_name_and_a_help(lang: str) -> None:
    for name in navigation.ICONS:
        assert {f"nav.{name}", f"nav.{name}.help"} <= set(catalogue(lang))


def test_a_chosen_language_comes_back_into_the_address(opened: Callable[..., AppTest]) -> None:
    at = opened()
    at.segmented_control(key="frame.language").set_value("zh").run()
    del at.query_params["lang"]  # as going to another page does
    at.run()
    assert at.query_params["lang"] == "zh"
    assert at.title[0].value == catalogue("zh")["start.title"]


def test_the_primary_buttons_lead_along_the_road(opened: Callable[..., AppTest], flowers: str) -> None:
    services.keep_draft(Recipe(dataset=flowers, backbone="thaw-small", image_size=32))
    run_id = services.submit(Recipe(dataset=flowers, name="older"))
    at = opened(run=run_id, lang="en")
    at.button(key="start.own.go").click().run()
    assert (at.title[0].value, at.query_params["run"]) == (catalogue("en")["data.title"], run_id)
    at.button(key="data.next").click().run()
    assert (at.title[0].value, at.query_params["run"]) == (catalogue("en")["model.title"], run_id)
    at.button(key="model.next").click().run()
    assert (at.title[0].value, "run" in at.query_params) == (catalogue("en")["train.title"], False)
    assert not at.exception


def test_the_end_of_a_run_is_told_once_on_any_page(opened: Callable[..., AppTest], flowers: str) -> None:
    run_id = services.submit(Recipe(dataset=flowers, name="first"))
    at = opened()
    services.send(run_id, Discard())
    assert [one.value for one in at.run().toast] == ["first: Discarded"]
    assert [one.value for one in at.run().toast] == []


def test_what_a_restart_took_up_is_told_once_on_any_page(opened: Callable[..., AppTest], flowers: str) -> None:
    services.engine().resumed = (services.submit(Recipe(dataset=flowers, name="first")),)
    at = opened(lang="en")
    assert [one.value for one in at.toast] == [catalogue("en")["notice.engine.resumed.one"]]
    assert [one.value for one in at.run().toast] == []
