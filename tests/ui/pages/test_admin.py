"""Admin: who sees it, what each part says, what a press does."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.gate import Person
from core.recipe import Recipe
from core.words import catalogue
from core.workspace import Workspace
from ui import navigation, services
from ui.access import of_request

Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]
ENGLISH = catalogue("en")


@pytest.fixture
def people(house: Workspace, cheap: None) -> dict[str, Person]:
    """Ann, a member, and Kim, an admin, who asks: a page's script runs in a thread that brings its own token."""
    accounts = services.access().accounts
    return {name: accounts.add(name, "a long password", admin=name == "Kim") for name in ("Ann", "Kim")}


@pytest.fixture
def draw(people: dict[str, Person], monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    def script() -> None:
        from ui.pages import admin

        admin.show()

    def run(who: str = "Kim", lang: str = "en", area: str = "") -> AppTest:
        monkeypatch.setattr(type(services.access()), "person", lambda self: people[who])
        at = AppTest.from_function(script, default_timeout=30)
        at.query_params["lang"] = lang
        if area:
            at.session_state["admin.area"] = area
        return at.run()

    return run


def make(people: dict[str, Person], who: str, name: str) -> str:
    mark = of_request.set(people[who])
    run_id = services.submit(Recipe(dataset="demo:digits", name=name))
    of_request.reset(mark)
    return run_id


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_part_is_drawn_in_both_languages(draw: Callable[..., AppTest], lang: str) -> None:
    for area in ("queue", "people", "log"):
        at = draw(lang=lang, area=area)
        assert not at.exception
        assert at.title[0].value == catalogue(lang)["admin.title"]


def test_a_member_is_refused_and_has_no_such_page(draw: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> None:
    at = draw("Ann")
    assert ENGLISH["error.gate.keepers_only.cause"] in at.error[0].value
    assert not at.get("bidi_component")
    assert "admin" not in navigation.pages()
    draw("Kim")
    assert "admin" in navigation.pages()


def test_the_queue_says_whose_and_offers_what_can_be_done(
    draw: Callable[..., AppTest], people: dict[str, Person], sent: Sent, press: Press
) -> None:
    first, second, third = (make(people, who, f"<b>{who}</b>") for who in ("Ann", "Kim", "Ann"))
    rows = sent(draw(), "queue.list")["rows"]
    assert [(row["id"], row["state"], dict(row["facts"])["Whose"]) for row in rows] == [
        (first, "Place 1", "Ann"), (second, "Place 2", "Kim"), (third, "Place 3", "Ann"),
    ]  # fmt: skip
    assert [[name for name, _ in row["actions"]] for row in rows] == [["down", "end"], ["up", "down", "end"], ["up", "end"]]
    assert rows[0]["name"] == "<b>Ann</b>"
    at = press(draw(), "queue.list", "pressed", ["up", third])
    assert services.engine().queue() == (first, third, second)
    at = press(draw(), "queue.list", "pressed", ["end", third])
    assert "Nothing is lost" in at.markdown[-1].value or "nothing is lost" in at.markdown[-1].value
    at.button(key="queue.end-pause").click().run()
    assert services.store().run(third).state == "paused"
    assert services.engine().queue() == (first, second)


def test_a_run_at_work_is_stopped_after_one_sentence(
    draw: Callable[..., AppTest], people: dict[str, Person], press: Press
) -> None:
    run_id = make(people, "Ann", "hers")
    assert services.store().transition(run_id, "running")
    at = press(draw(), "queue.list", "pressed", ["end", run_id])
    assert "**hers** of Ann is being trained" in at.markdown[-1].value
    at.button(key="queue.end-stop").click().run()
    assert [command.kind for command in services.store().take(run_id)] == ["stop"]


def test_people_are_shown_with_their_disk_and_ones_own_account_cannot_be_touched(
    draw: Callable[..., AppTest], sent: Sent
) -> None:
    ann, kim = sent(draw(area="people"), "members.list")["rows"]
    assert (ann["name"], ann["state"], dict(ann["facts"])["Disk"]) == ("Ann", "member", "0 B of 20 GB")
    assert [name for name, _ in ann["actions"]] == ["password", "admin", "remove"]
    assert (kim["state"], kim["actions"]) == ("admin", [])


def test_a_person_is_added_with_a_password_that_is_shown_once(draw: Callable[..., AppTest]) -> None:
    assert not draw(area="people").code

    def script() -> None:
        from ui.parts import members

        members._add()

    at = AppTest.from_function(script, default_timeout=30).run()  # in a browser the dialog is drawn again alone
    at.text_input(key="members.name").set_value("ann").run()
    at.button(key="members.add-go").click().run()
    assert "already somebody called" in at.error[0].value
    at.text_input(key="members.name").set_value("Eve").run()
    at.button(key="members.add-go").click().run()
    assert services.access().accounts.sign_in("Eve", at.code[0].value)[1].name == "Eve"


def test_a_person_is_removed_after_one_sentence(
    draw: Callable[..., AppTest], people: dict[str, Person], press: Press
) -> None:
    at = press(draw(area="people"), "members.list", "pressed", ["remove", people["Ann"].id])
    at.button(key="members.yes").click().run()
    assert [one.person.name for one in services.members()] == ["Kim"]


def test_the_log_names_what_was_done_and_to_what(draw: Callable[..., AppTest], people: dict[str, Person]) -> None:
    make(people, "Ann", "<img src=x>")
    services.access()._audit.write("sign_in_failed", {"name": "x\u202ey", "address": "10.0.0.9"})
    table = draw(area="log").dataframe[0].value
    assert list(table["What"]) == ["Wrong name or password", "Queued a run"]
    assert list(table["Who"]) == ["–", "Ann"]
    assert list(table["Of what"]) == ["x\\u202ey · 10.0.0.9", "<img src=x>"]
