"""Results: the figures in plain words, and the way from each of them to its pictures."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.run import Run
from ui import navigation, outcomes, services
from ui.parts import verdict

Trained = Callable[..., Run]
Page = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]


def texts(at: AppTest) -> str:
    return "\n".join(
        element.value for kind in (at.markdown, at.caption, at.header, at.subheader, at.title) for element in kind
    )


def test_the_headline_says_how_many_pictures_were_named_right(trained: Trained, page: Page) -> None:
    trained()
    at = page("results")
    assert not at.exception
    assert at.header[0].value == "Of 12 test images the model names 9 right"
    assert [metric.value for metric in at.metric] == ["75.0 %", "75.9 %", "50.0 %", "3"]
    assert at.metric[0].delta == "+25.0 points"


def test_the_baseline_names_its_class_as_plain_text_and_a_gain_within_chance_is_called_none(
    trained: Trained, page: Page
) -> None:
    trained()
    said = texts(page("results"))
    assert "lies between 47 % and 91 % (95 % sure)" in said
    assert r"Always saying “nought \*bold\*” would get 50.0 %" in said
    assert "That is no clear gain" in said


def test_figures_from_the_validation_images_say_so(trained: Trained, page: Page) -> None:
    trained(split="val")
    at = page("results")
    assert at.header[0].value == "Of 12 validation images the model names 9 right"
    assert "There are no test images, so these figures come from the validation images" in texts(at)


def test_a_run_stopped_by_hand_says_when(trained: Trained, page: Page) -> None:
    trained(outcome="stopped")
    assert "The training was stopped by hand in epoch 2." in texts(page("results"))


def test_a_class_that_was_never_asked_about_is_named(trained: Trained) -> None:
    run = trained()
    tested = outcomes.run_state(run.id).tested
    assert tested is not None
    assert len(verdict._caveats(run, tested)) == 1
    first, *others = tested.scores.per_class
    scores = tested.scores.model_copy(update={"per_class": (first.model_copy(update={"support": 0}), *others)})
    said = verdict._caveats(run, tested.model_copy(update={"scores": scores}))
    assert r"No test image was of nought \*bold\*, so these figures say nothing about this class." in said[1]


def test_the_matrix_is_given_counts_and_names_as_data(trained: Trained, page: Page, sent: Sent) -> None:
    run = trained()
    given = sent(page("results"), f"results.matrix.{run.id}")
    assert given["counts"] == [[4, 2, 0], [0, 3, 0], [1, 0, 2]]
    assert list(given["names"].values()) == ["nought *bold*", "<img onerror=alert(1)>", "猫 :smile:"]
    assert given["totals"] == {"0": 6, "1": 3, "2": 3}
    assert given["pairs"] == [[0, 1, 2], [2, 0, 1]]
    assert given["chosen"] is None


def test_mistakes_come_most_sure_first(trained: Trained, page: Page, sent: Sent) -> None:
    run = trained()
    at = page("results")
    shown = sent(at, f"results.pictures.{run.id}")["pictures"]
    assert [one["note"] for one in shown] == [
        "→ <img onerror=alert(1)>, 95 % sure",
        "→ nought *bold*, 75 % sure",
        "→ <img onerror=alert(1)>, 55 % sure",
    ]
    assert [one["caption"] for one in shown] == ["nought *bold*", "猫 :smile:", "nought *bold*"]
    assert at.subheader[0].value == "All 3 mistakes"


def test_a_cell_shows_the_pictures_behind_it_until_all_mistakes_are_asked_for(
    trained: Trained, page: Page, sent: Sent, press: Press
) -> None:
    run = trained()
    at = press(page("results"), f"results.matrix.{run.id}", "cell", [2, 0])
    assert at.subheader[0].value == r"One image of 猫 \:⁠smile\:, called nought \*bold\*"
    assert [one["note"] for one in sent(at, f"results.pictures.{run.id}")["pictures"]] == ["→ nought *bold*, 75 % sure"]
    assert sent(at, f"results.matrix.{run.id}")["chosen"] == [2, 0]
    at.button(key="results.all").click().run()
    assert at.subheader[0].value == "All 3 mistakes"
    assert sent(at, f"results.matrix.{run.id}")["chosen"] is None


def test_right_answers_come_least_sure_first(trained: Trained, page: Page, sent: Sent, press: Press) -> None:
    run = trained()
    at = press(page("results"), f"results.matrix.{run.id}", "cell", [0, 0])
    shown = sent(at, f"results.pictures.{run.id}")["pictures"]
    assert [(one["note"], one["tone"]) for one in shown] == [
        ("60 % sure", "good"),
        ("70 % sure", "good"),
        ("80 % sure", "good"),
        ("90 % sure", "good"),
    ]


def test_a_class_shows_what_was_missed_of_it(trained: Trained, page: Page, sent: Sent, press: Press) -> None:
    run = trained()
    at = page("results")
    at.segmented_control(key="results.view").set_value("classes").run()
    rows = sent(at, f"results.classes.{run.id}")["rows"]
    assert rows[0] == ["nought *bold*", 6, 4, 5, pytest.approx(4 / 6), 0.8, pytest.approx(8 / 11)]
    press(at, f"results.classes.{run.id}", "picked", 0)
    assert at.subheader[0].value == r"2 images of nought \*bold\* that were missed"
    assert sent(at, f"results.classes.{run.id}")["chosen"] == 0


@pytest.mark.parametrize("wish", [[9, 0], [0], "0,1", [0, 1.0], None, [-1, 0]])
def test_a_cell_that_does_not_exist_changes_nothing(trained: Trained, page: Page, press: Press, wish: object) -> None:
    run = trained()
    at = press(page("results"), f"results.matrix.{run.id}", "cell", wish)
    assert not at.exception
    assert at.subheader[0].value == "All 3 mistakes"


def test_a_picture_opens_with_what_the_model_thought(trained: Trained, page: Page, sent: Sent, press: Press) -> None:
    run = trained()
    at = press(page("results"), f"results.pictures.{run.id}", "clicked", 0)
    (one,) = sent(at, "results.look.")["answers"]
    assert one["bars"][0] == ["<img onerror=alert(1)>", 0.95]
    assert (one["truth"], one["tone"], one["caption"]) == ("nought *bold*", "bad", "<b>5</b>.png")
    assert one["note"] == "It is really nought *bold*."


def test_without_its_predictions_a_run_still_shows_its_figures(trained: Trained, page: Page) -> None:
    run = trained()
    (services.run_folder(run.id) / "test.json").unlink()
    at = page("results")
    assert not at.exception
    assert "The predictions of this run are not on the disk any more." in texts(at)
    assert at.metric[0].value == "75.0 %"


def test_the_address_chooses_the_run_else_the_newest_is_shown(trained: Trained, page: Page) -> None:
    first, second = trained(name="first"), trained(name="second")
    assert page("results").selectbox(key="results.run").value == second.id
    assert page("results", run=first.id).selectbox(key="results.run").value == first.id
    at = page("results")
    at.selectbox(key="results.run").set_value(first.id).run()
    assert at.query_params["run"] == first.id


@pytest.mark.parametrize("page", ["results", "try-it"])
def test_the_frame_names_what_the_shown_run_learned_from(trained: Trained, page: str) -> None:
    def script(page: str) -> None:
        from ui import frame

        frame.header(page)

    first, _ = trained(backbone="resnet18"), trained()
    at = AppTest.from_function(script, args=(page,), default_timeout=30).run()
    assert [one.value.split(" ", 1)[1] for one in at.caption][:2] == ["Handwritten digits", r"thaw\-small"]
    at.query_params["run"] = first.id
    assert at.run().caption[1].value.split(" ", 1)[1] == "resnet18"


def test_a_run_still_at_work_is_named_and_leads_to_the_train_page(
    trained: Trained, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(name="done")
    store = services.store()
    live = store.create(store.runs()[0].recipe.changed(name="live *one*"))
    went: list[str] = []
    monkeypatch.setattr(navigation, "go", went.append)
    at = page("results", run=live.id)
    assert r"live \*one\* is still at work." in texts(at)
    at.button(key="results.other.go").click().run()
    assert went == ["train"]


@pytest.mark.parametrize(
    ("wanted", "said", "place"),
    [
        ("paused", "half has no tested model: Paused.", "train"),
        ("binned", "half is in the bin.", "runs"),
        ("nonsense", "There is no run nonsense here.", "runs"),
    ],
)
@pytest.mark.parametrize("name", ["results", "try_it"])
def test_a_run_without_a_model_is_never_silently_another_one(
    trained: Trained, page: Page, monkeypatch: pytest.MonkeyPatch, name: str, wanted: str, said: str, place: str
) -> None:
    trained(name="done")
    half = trained(name="half", outcome="paused" if wanted == "paused" else "finished")
    if wanted == "binned":
        services.store().delete(half.id)
    went: list[str] = []
    monkeypatch.setattr(navigation, "go", went.append)
    at = page(name, run=wanted if wanted == "nonsense" else half.id)
    assert said in texts(at)
    assert f"What follows is about another run: {'half' if wanted == 'nonsense' else 'done'}." in texts(at)
    at.button(key=f"{name}.other.go").click().run()
    assert went == [place]


def test_with_no_finished_run_one_button_leads_to_the_train_page(
    trained: Trained, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(outcome="failed")
    went: list[str] = []
    monkeypatch.setattr(navigation, "go", went.append)
    at = page("results")
    assert not at.exception
    at.button(key="results.empty.go").click().run()
    assert went == ["train"]


def test_the_curves_say_their_last_figures_in_words(trained: Trained, page: Page) -> None:
    trained()
    charts = page("results").get("plotly_chart")
    assert len(charts) == 2
    assert charts[0].proto.alt == "Accuracy over 2 epochs: at the end 80.0 % in training, 70.0 % in validation."


def test_in_chinese_the_headline_is_chinese(trained: Trained, page: Page) -> None:
    trained()
    assert page("results", lang="zh").header[0].value == "12 张测试图片中，模型认对了 9 张"
