"""Runs: what each row says and offers, what a press does, and what ticked runs have in common or not."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.events import Ended, Event, Replanned, Saved, Started, StepDone
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.run import Run
from ui import navigation, outcomes, services
from ui.outcomes import listed, tested
from ui.parts import compare
from ui.text import t

Trained = Callable[..., Run]
Page = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]

X = hashlib.sha256(b"x").hexdigest()


@pytest.fixture
def went(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pages that were gone to."""
    pages: list[str] = []
    monkeypatch.setattr(navigation, "go", pages.append)
    return pages


def texts(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.markdown, at.caption, at.subheader) for element in kind)


def tick(at: AppTest, *runs: Run, cleared: int = 0) -> AppTest:
    at.session_state["runs.list"] = {"ticked": {"cleared": cleared, "ids": [run.id for run in runs]}}
    return at.run()


def test_a_row_says_state_choices_and_figures_as_data(trained: Trained, page: Page, sent: Sent) -> None:
    run = trained(name="<b>mine</b>")
    (row,) = sent(page("runs"), "runs.list")["rows"]
    assert (row["id"], row["name"], row["state"], row["tone"]) == (run.id, "<b>mine</b>", "Finished", "good")
    assert row["text"] == "Handwritten digits · thaw-small · Everything"
    facts = dict(row["facts"])
    assert (facts["Test"], facts["Validation"], facts["Epochs"], facts["Time"]) == ("75.0 %", "70.0 %", "2/3", "20 s")
    assert [name for name, _ in row["actions"]] == ["open", "rename", "delete"]


def test_newest_runs_come_first(trained: Trained, page: Page, sent: Sent) -> None:
    for name in ("one", "two", "three"):
        trained(name=name)
    assert [row["name"] for row in sent(page("runs"), "runs.list")["rows"]] == ["three", "two", "one"]


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("finished", ["open", "rename", "delete"]),
        ("stopped", ["open", "rename", "delete"]),
        ("paused", ["resume", "open", "rename", "delete"]),
        ("interrupted", ["resume", "open", "rename", "delete"]),
        ("failed", ["resume", "open", "rename", "delete"]),
    ],
)
def test_a_run_offers_what_its_state_allows(
    trained: Trained, page: Page, sent: Sent, state: str, offered: list[str]
) -> None:
    trained(outcome=state)
    (row,) = sent(page("runs"), "runs.list")["rows"]
    assert [name for name, _ in row["actions"]] == offered


def test_a_running_run_can_be_paused_and_not_deleted_and_shows_its_progress(
    trained: Trained, page: Page, press: Press, sent: Sent
) -> None:
    recipe = trained(name="done").recipe
    store = services.store()
    run = store.create(recipe.changed(name="live"))
    assert store.transition(run.id, "running")
    at = page("runs")
    row = sent(at, "runs.list")["rows"][0]
    assert [name for name, _ in row["actions"]] == ["open", "pause", "rename"]
    assert [value for _, value in row["facts"]][:4] == ["–", "–", "3", "–"]
    (bar,) = at.get("progress")
    assert bar.proto.text == "live: epoch 0 of 3 done, 0 %"
    press(at, "runs.list", "pressed", ["pause", run.id])
    assert [command.kind for command in store.take(run.id)] == ["pause"]


def test_a_failed_run_says_why_in_words(trained: Trained, page: Page, sent: Sent) -> None:
    store = services.store()
    run = store.create(trained().recipe.changed(name="bad"))
    assert store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="failed", code="run.none")])
    row = sent(page("runs"), "runs.list")["rows"][0]
    assert (row["tone"], row["note"].split(". ")[0]) == ("bad", "There are no runs in this workspace yet")


@pytest.mark.parametrize(("state", "leads"), [("finished", "results"), ("stopped", "results"), ("paused", "train")])
def test_open_leads_to_where_the_run_is_shown(
    trained: Trained, page: Page, press: Press, went: list[str], state: str, leads: str
) -> None:
    run = trained(outcome=state)
    at = press(page("runs"), "runs.list", "pressed", ["open", run.id])
    assert went == [leads]
    assert at.query_params["run"] == run.id


def test_a_deleted_run_lies_in_the_bin_and_one_press_brings_it_back(
    trained: Trained, page: Page, press: Press, sent: Sent
) -> None:
    run = trained(name="gone *soon*")
    at = press(page("runs"), "runs.list", "pressed", ["delete", run.id])
    assert outcomes.runs() == []
    assert [one.id for one in outcomes.binned()] == [run.id]
    assert r"gone \*soon\* is in the bin." in texts(at)
    assert [name for name, _ in sent(at, "runs.binned")["rows"][0]["actions"]] == ["restore"]
    at.button(key="runs.undo").click().run()
    assert [one.id for one in outcomes.runs()] == [run.id]
    assert sent(at, "runs.binned") is None


def test_a_run_is_restored_from_the_bin(trained: Trained, page: Page, press: Press) -> None:
    run = trained()
    outcomes.delete(run.id)
    press(page("runs"), "runs.binned", "pressed", ["restore", run.id])
    assert [one.id for one in outcomes.runs()] == [run.id]


def test_resume_puts_a_run_back_into_the_queue_and_a_refusal_is_said(trained: Trained, page: Page, press: Press) -> None:
    run = trained(outcome="failed", name="broken")
    at = press(page("runs"), "runs.list", "pressed", ["resume", run.id])
    assert services.store().run(run.id).state == "failed"
    assert r"has no checkpoint to go on from" in at.error[0].value
    saved = services.store().folder(run.id) / "step-6.ckpt"
    saved.write_bytes(b"x")
    services.store().append(run.id, [Saved(step=6, epoch=2, file=saved.name, sha256=X, size_bytes=1, best=True)])
    press(page("runs"), "runs.list", "pressed", ["resume", run.id])
    assert services.store().run(run.id).state == "queued"


def test_rename_asks_for_a_name_and_keeps_it(trained: Trained, page: Page, press: Press) -> None:
    run = trained(name="old")
    at = press(page("runs"), "runs.list", "pressed", ["rename", run.id])
    assert at.text_input(key=f"runs.rename.{run.id}").value == "old"
    outcomes.rename(run.id, "新名字 <b>")
    assert services.store().run(run.id).name == "新名字 <b>"


def test_two_ticked_runs_share_a_chart_and_show_only_what_differs(trained: Trained, page: Page) -> None:
    one, two = trained(name="slow", lr=0.001), trained(name="fast", lr=0.01)
    at = tick(page("runs"), one, two)
    assert at.subheader[0].value == "2 runs compared"
    (chart,) = at.get("plotly_chart")
    assert [trace["name"] for trace in json.loads(chart.proto.spec)["data"]] == ["slow", "fast"]
    differing = at.dataframe[1].value
    assert list(differing.index) == ["Learning rate"]
    assert differing.loc["Learning rate"].to_dict() == {"slow": "0.001", "fast": "0.01"}


def test_one_ticked_run_asks_for_another_and_unticking_is_remembered(trained: Trained, page: Page, sent: Sent) -> None:
    run = trained()
    at = tick(page("runs"), run)
    assert "Tick another one to compare them." in texts(at)
    at.button(key="runs.clear").click().run()
    assert sent(at, "runs.list")["cleared"] == 1
    assert "Tick another one" not in texts(at)


def test_runs_on_different_pictures_are_marked_as_not_comparable(trained: Trained, page: Page) -> None:
    one, two = trained(), trained(dataset="another")
    at = tick(page("runs"), one, two)
    assert "These runs learned from different data sets: their figures cannot be compared." in texts(at)


def test_settings_are_told_in_words_and_equal_names_are_told_apart(trained: Trained) -> None:
    rules = (BlockRule(path="layer1", trainable=False), BlockRule(path="fc", lr_scale=0.5))
    one, two = trained(name="same"), trained(name="same", rules=rules, strategy="custom", optimizer="sgd")
    table = compare.settings([one, two])
    assert list(table.columns) == [f"same ({one.id[-4:]})", f"same ({two.id[-4:]})"]
    assert list(table.index) == ["Strategy", "What learns", "Optimizer"]
    assert list(table.iloc[:, 1]) == ["My own choice", "layer1 frozen, fc ×0.5", t("train.set.optimizer.sgd")]


@pytest.mark.usefixtures("trained")
def test_runs_side_by_side_say_how_long_each_has_learned_and_which_was_changed_on_the_way() -> None:
    def made(name: str, steps: int, *said: Event) -> Run:
        store = services.store()
        run = store.create(Recipe(dataset="demo:digits", name=name))
        assert store.transition(run.id, "running")
        began = Started(
            device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=("a", "b"),
            splits={"train": 60}, parameters_total=10, parameters_trainable=10, groups=(), held=(), steps_per_epoch=3,
            epochs=3, step=0,
        )  # fmt: skip
        step = StepDone(step=steps, epoch=steps // 3, loss=0.5, correct=9, images=12, lr=0.001, clock=4.0)
        store.append(run.id, [began, *said, step, Ended(outcome="stopped", step=steps)])
        return run

    by = {"step": 2, "epoch": 1, "rules": (), "lr": 0.1, "parameters_trainable": 1, "groups": (), "held": ()}
    plain, later = made("plain", 6), made("later", 9, Replanned(cause="timeline", **by))
    assert list(compare.figures([plain, later]).index) == ["Test", "Validation", "Time", "Epochs learned"]
    table = compare.figures([plain, made("edited", 7, Replanned(cause="person", **by))])
    assert table.loc["Changed on the way"].to_list() == ["no", "yes"]
    assert table.loc["Epochs learned"].to_list() == ["2", "2.33"]


def test_rules_that_differ_are_told_apart(trained: Trained) -> None:
    def told(**rule: Any) -> str:
        return str(compare.settings([plain, trained(name="b", rules=(BlockRule(path="fc", **rule),))]).iloc[0, 1])

    plain = trained(name="a")
    assert [told(adapter=4), told(adapter=8)] == ["fc adapter of rank 4", "fc adapter of rank 8"]
    assert told(trainable=True, pull=0.5, since=3) == "fc learns pull 0.5 from epoch 3 on"
    assert compare.settings([plain, trained(name="c", stochastic_depth=0.1)]).iloc[0].to_list() == ["–", "0.1"]


def test_no_field_of_a_recipe_is_without_words() -> None:
    fields = outcomes.differences([Recipe(), Recipe()]) | tested._flat(Recipe().model_dump(mode="json"))
    assert [field for field in fields if field != "name" and compare._field(field) == field] == []


def test_every_setting_has_a_name_and_augmentation_is_told_by_its_preset_or_its_parts(trained: Trained) -> None:
    other = {
        "val_fraction": 0.2, "test_fraction": 0.2, "split_seed": 1, "image_size": 64, "fit": "pad", "weights": "pretrained",
        "epochs": 4, "batch_size": 8, "lr": 0.1, "momentum": 0.5, "weight_decay": 0.5, "schedule": "step", "step_epochs": 2,
        "step_factor": 0.5, "warmup_epochs": 1.0, "label_smoothing": 0.1, "metric": "loss", "patience": 3, "device": "cpu",
        "precision": "bf16", "threads": 1, "seed": 7, "backbone": "resnet18", "augment": AUGMENT_PRESETS["light"],
    }  # fmt: skip
    one, two = trained(name="a"), trained(name="b", **other)
    table = compare.settings([one, two])
    assert len(table) == len(other)
    assert not set(table.index) & set(Recipe.model_fields)
    assert table.loc[t("train.set.augment")].to_list() == ["None", "Light"]
    three = trained(name="c", augment=AUGMENT_PRESETS["none"].model_copy(update={"rotation": 5.0}))
    assert compare.settings([one, three]).loc["Vary the images: Rotation"].to_list() == ["0", "5"]


def test_of_many_runs_one_page_is_drawn_at_a_time(trained: Trained, page: Page, sent: Sent) -> None:
    recipe = trained().recipe
    for _ in range(30):
        services.store().create(recipe)
    at = page("runs")
    assert len(sent(at, "runs.list")["rows"]) == 25
    at.get("pagination")[0].set_value(2).run() if at.get("pagination") and hasattr(
        at.get("pagination")[0], "set_value"
    ) else None
    at.session_state["runs.page"] = 2
    at.run()
    assert len(sent(at, "runs.list")["rows"]) == 6


def test_with_no_run_one_button_leads_to_the_pictures(house: object, page: Page, went: list[str]) -> None:
    at = page("runs")
    at.button(key="runs.empty.go").click().run()
    assert went == ["data"]


def test_in_chinese_states_and_actions_are_chinese(trained: Trained, page: Page, sent: Sent) -> None:
    trained()
    (row,) = sent(page("runs", lang="zh"), "runs.list")["rows"]
    assert (row["state"], row["actions"][0]) == ("已完成", ["open", "打开"])


def test_the_bin_is_emptied_after_a_second_press(trained: Trained, page: Page) -> None:
    kept, gone = trained(name="kept"), trained(name="gone")
    outcomes.delete(gone.id)
    at = page("runs")
    at.button(key="runs.empty-bin").click().run()
    assert [run.id for run in outcomes.binned()] == [gone.id], "asked first"
    at.button(key="runs.empty-yes").click().run()
    assert outcomes.binned() == []
    assert [run.id for run in outcomes.runs()] == [kept.id]


def test_where_nobody_signs_in_the_queue_can_be_put_in_order_here(
    trained: Trained, page: Page, sent: Sent, press: Press
) -> None:
    recipe, store = trained().recipe, services.store()
    first = store.create(recipe.changed(name="first"))
    assert sent(page("runs"), "queue.list") is None
    second = store.create(recipe.changed(name="second"))
    at = page("runs")
    assert [(row["id"], [label for label, _ in row["facts"]]) for row in sent(at, "queue.list")["rows"]] == [
        (first.id, ["Waits since"]), (second.id, ["Waits since"]),
    ]  # fmt: skip
    press(at, "queue.list", "pressed", ["up", second.id])
    assert services.engine().queue() == (second.id, first.id)


def test_a_box_offers_the_newest_and_the_one_that_is_asked_for(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MOST_OFFERED", 2)
    runs = [trained(name=f"{number}") for number in range(4)]
    failed = trained("failed")
    assert [run.name for run in outcomes.with_model()] == ["3", "2"]
    assert [run.name for run in outcomes.with_model(runs[0].id)] == ["3", "2", "0"]
    assert [run.name for run in outcomes.with_model(failed.id)] == ["3", "2"]
    kept = services.run_folder(failed.id) / "kept-1.safetensors"
    kept.write_bytes(b"")
    assert [run.id for run in outcomes.to_try()] == [failed.id, runs[3].id, runs[2].id]
    services.delete(failed.id)
    assert [run.id for run in outcomes.to_try()] == [runs[3].id, runs[2].id]
