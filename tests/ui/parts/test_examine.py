"""The section of the data page: what was found in plain words, one press to decide, one to undo."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.examine import Examination, Finding
from core.words import catalogue, say
from ui import examining, services

Draw = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def no_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "demo_ids", tuple)


@pytest.fixture
def shown(flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The data page with this set, checked with these findings; None: never checked."""

    def show(findings: tuple[Finding, ...] | None, lang: str = "en", told_apart: float = 0.9) -> AppTest:
        made = None if findings is None else Examination(flowers, "original", 30, told_apart, findings)
        monkeypatch.setattr(examining, "last_examination", lambda data, workspace: made)
        services.house.opened().memory.clear()  # what this module was asked before, about other findings
        services.keep_draft(services.first_draft().changed(dataset=flowers))
        at = draw("data", lang=lang)
        assert not at.exception
        return at

    return show


def doubts(flowers: str, many: int = 1) -> tuple[Finding, ...]:
    items = services.dataset(flowers).items
    return tuple(Finding("label", (items[at].sha256,), 0.97, "relabel", "百合") for at in range(many))


def texts(at: AppTest) -> str:
    return "\n".join(one.value for one in (*at.markdown, *at.caption))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_before_the_check_there_is_one_button(shown: Callable[..., AppTest], lang: str) -> None:
    at = shown(None, lang)
    assert at.button(key="data.examine").label == say("examine.go", lang, n="30")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_clean_set_is_said_to_be_clean(shown: Callable[..., AppTest], lang: str) -> None:
    assert say("examine.clean", lang, n="30") in texts(shown((), lang))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_kind_can_be_shown(flowers: str, shown: Callable[..., AppTest], lang: str) -> None:
    items = services.dataset(flowers).items
    one, pair = (items[3].sha256,), (items[0].sha256, items[10].sha256)
    kinds = ("label", "clash", "leak", "same", "near", "blank", "blurred", "dark", "bright", "tiny", "shape")
    for kind in kinds:
        images = pair if kind in ("clash", "leak", "same", "near") else one
        label = "百合" if kind == "label" else ""
        at = shown((Finding(kind, images, 0.97, "look", label),), lang)  # type: ignore[arg-type]
        assert say(f"examine.count.{kind}", lang, n=1, total="30") in texts(at)
        assert at.button(key=f"data.finding.ignore..{kind}-{images[0][:16]}").label == catalogue(lang)["examine.act.ignore"]
    at = shown((Finding("imbalance", (), 6.0, "collect", "daisy"),), lang)
    assert say("examine.rare", lang, n=10, label="daisy", ratio="6") in texts(at)


def test_one_press_moves_an_image_and_one_takes_it_back(flowers: str, shown: Callable[..., AppTest]) -> None:
    (doubt,) = doubts(flowers)
    at = shown((doubt,))
    assert "1 of your 30 images looks like another class." in texts(at)
    assert "looks like **百合** · 97 % sure" in texts(at)
    at.button(key=f"data.finding.move.百合.label-{doubt.images[0][:16]}").click().run()
    assert services.dataset(flowers).counts() == {"daisy": 9, "rose :smile:": 10, "百合": 11}
    assert "You have been through everything that was found in your 30 images." in texts(at)
    assert "Moved to 百合: 1 image" in texts(at)
    at.button(key="data.examine-undo.1").click().run()
    assert services.dataset(flowers).version == "original"
    assert "1 of your 30 images looks like another class." in texts(at)


def test_all_copies_are_kept_together_by_one_press(flowers: str, shown: Callable[..., AppTest]) -> None:
    items = services.dataset(flowers).items
    found = tuple(Finding("near", (items[at].sha256, items[at + 1].sha256), 0.99, "together") for at in (0, 4))
    at = shown(found)
    at.button(key="data.examine-all").click().run()
    assert {edit.images for edit in examining.decisions(flowers)} == {finding.images for finding in found}
    assert "You have been through everything" in texts(at)


def test_what_the_check_is_not_good_at_is_said(flowers: str, shown: Callable[..., AppTest]) -> None:
    sentence = say("examine.hard", "en", share="61 %")
    assert sentence in texts(shown(doubts(flowers), told_apart=0.61))
    assert sentence not in texts(shown(doubts(flowers), told_apart=0.81))


def test_a_refused_decision_says_why(flowers: str, shown: Callable[..., AppTest]) -> None:
    daisies = [item.sha256 for item in services.dataset(flowers).items if item.label == 0]
    examining.make(flowers, "exclude", daisies[2:])
    (doubt,) = doubts(flowers)
    at = shown((doubt,))
    at.button(key=f"data.finding.exclude..label-{doubt.images[0][:16]}").click().run()
    assert "The class daisy would keep 1 of its images; it needs at least 2." in texts(at).replace("\\", "")
    assert services.dataset(flowers).counts()["daisy"] == 2


def test_many_findings_come_in_pages(flowers: str, shown: Callable[..., AppTest]) -> None:
    at = shown(doubts(flowers, 8))
    moves = [one for one in at.button if one.key and one.key.startswith("data.finding.move.")]
    assert len(moves) == 6


def test_an_older_version_can_be_looked_at_and_left(flowers: str, draw: Draw) -> None:
    services.keep_draft(services.first_draft().changed(dataset=f"{flowers}@original"))
    at = draw("data")
    assert not at.exception
    at.button(key="data.examine-newest").click().run()
    assert at.session_state["thaw.draft"].dataset == flowers
