"""Train: settings that edit the draft, a start that says what it lacks, and a run as it goes, whoever started it."""

import hashlib
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.engine import Engine
from core.events import (
    Amend,
    Command,
    Discard,
    Ended,
    EpochDone,
    Event,
    GroupInfo,
    Pause,
    Replanned,
    Saved,
    Started,
    StepDone,
    Stop,
)
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.run import Run
from core.store import RunStore
from core.words import catalogue
from core.workspace import Workspace
from ui import services
from ui.jobs import Job
from ui.parts import live
from ui.services import networks

Draw = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]

ENGLISH = catalogue("en")


def draft(at: AppTest) -> Recipe:
    recipe: Recipe = at.session_state["thaw.draft"]
    return recipe


def written(at: AppTest) -> str:
    return "\n".join(one.value for kind in (at.markdown, at.caption, at.success, at.info, at.warning) for one in kind)


def captions(at: AppTest) -> str:
    return "\n".join(one.value for one in at.caption)


@pytest.fixture
def ready(house: Workspace, flowers: str) -> Recipe:
    """A draft that can be started."""
    recipe = Recipe(dataset=flowers, backbone="thaw-small", image_size=32, epochs=12)
    services.keep_draft(recipe)
    return recipe


# --- settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_without_data_start_is_off_and_says_why_and_what_to_do(draw: Draw, lang: str) -> None:
    at = draw("train", lang=lang)
    assert not at.exception
    assert at.title[0].value == catalogue(lang)["train.title"]
    assert at.button(key="train.start").disabled
    assert any(catalogue(lang)["train.block.no_data"] in one.value for one in at.markdown)
    assert at.button(key="train.fix").label == catalogue(lang)["train.fix.data"]


def test_a_good_draft_says_what_will_happen(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    assert not at.button(key="train.start").disabled
    assert any("**Thaw Small** learns **flowers**: 24 images, 12 epochs" in one.value for one in at.markdown)


def test_a_fix_changes_the_draft_and_frees_the_start(ready: Recipe, draw: Draw) -> None:
    services.keep_draft(ready.with_rule("", trainable=False))
    at = draw("train")
    assert at.button(key="train.start").disabled
    at.button(key="train.fix").click().run()
    assert (draft(at).strategy, at.button(key="train.start").disabled) == ("head", False)


def test_every_setting_edits_its_field(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.number_input(key="recipe.epochs").set_value(3).run()
    at.select_slider(key="recipe.batch_size").set_value(64).run()
    at.select_slider(key="recipe.lr").set_value(0.003).run()
    at.select_slider(key="recipe.image_size").set_value(48).run()
    at.number_input(key="recipe.seed").set_value(5).run()
    at.selectbox(key="recipe.optimizer").set_value("sgd").run()
    at.slider(key="recipe.momentum").set_value(0.5).run()
    at.selectbox(key="recipe.schedule").set_value("step").run()
    at.number_input(key="recipe.step_epochs").set_value(2).run()
    at.number_input(key="recipe.patience").set_value(4).run()
    at.number_input(key="recipe.max_hours").set_value(1.5).run()
    at.text_input(key="recipe.name").set_value("mine").run()
    changed = ready.changed(
        epochs=3, batch_size=64, lr=0.003, image_size=48, seed=5, optimizer="sgd", momentum=0.5, schedule="step",
        step_epochs=2, patience=4, max_hours=1.5, name="mine",
    )  # fmt: skip
    assert draft(at) == changed
    assert not at.exception


def test_a_rate_between_the_proposed_ones_has_its_place_on_the_slider(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.number_input(key="recipe.lr.exact").set_value(0.0007).run()
    assert draft(at).lr == 0.0007
    assert at.select_slider(key="recipe.lr").value == 0.0007


def test_a_setting_that_does_not_fit_is_refused_at_its_field(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.number_input(key="recipe.warmup_epochs").set_value(20.0).run()
    assert draft(at).warmup_epochs == 0.5
    assert at.number_input(key="recipe.warmup_epochs").value == 0.5
    assert any(one.value.startswith(":red[") for one in at.caption)


def test_losses_averages_and_mixtures_edit_their_fields(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.selectbox(key="recipe.loss").set_value("focal").run()
    at.slider(key="recipe.focal_gamma").set_value(1.5).run()
    at.toggle(key="recipe.balanced").set_value(True).run()
    at.slider(key="recipe.dropout").set_value(0.25).run()
    at.slider(key="recipe.mixup").set_value(0.2).run()
    at.slider(key="recipe.cutmix").set_value(1.0).run()
    at.slider(key="recipe.ema").set_value(0.99).run()
    at.slider(key="train.depth").set_value(0.2).run()
    at.number_input(key="recipe.clip_norm.exact").set_value(1.0).run()
    at.number_input(key="recipe.accumulate").set_value(4).run()
    at.selectbox(key="recipe.optimizer").set_value("rmsprop").run()
    at.selectbox(key="recipe.schedule").set_value("plateau").run()
    at.number_input(key="recipe.plateau_epochs").set_value(3).run()
    assert draft(at) == ready.changed(
        loss="focal", focal_gamma=1.5, balanced=True, dropout=0.25, mixup=0.2, cutmix=1.0, ema=0.99, stochastic_depth=0.2,
        clip_norm=1.0, accumulate=4, optimizer="rmsprop", schedule="plateau", plateau_epochs=3,
    )  # fmt: skip
    assert "128" in captions(at), "four batches of 32 are learned from together"


def test_the_pull_back_is_a_rule_of_the_whole_network_or_of_a_block(ready: Recipe, draw: Draw) -> None:
    services.keep_draft(ready.changed(weights="bundled"))
    at = draw("train")
    at.slider(key="train.pull.all").set_value(0.5).run()
    assert draft(at).rules == (BlockRule(path="", pull=0.5),)
    at.selectbox(key="train.pull-where").set_value("layer1").run()
    assert at.slider(key="train.pull.layer1").value == 0.5, "what the network says holds for its blocks"
    at.slider(key="train.pull.layer1").set_value(2.0).run()
    assert draft(at).rules == (BlockRule(path="", pull=0.5), BlockRule(path="layer1", pull=2.0))
    assert "`layer1` 2" in captions(at)


def test_a_found_rate_can_be_taken(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.button(key="train.find").click().run()
    job = services.find_job(draft(at), None)
    assert job is not None
    assert job.wait(240)
    assert job.error is None
    at.run()
    assert job.result.suggestion is not None
    at.button(key="train.find-take").click().run()
    assert draft(at).lr == pytest.approx(job.result.suggestion, rel=0.06)
    assert at.button(key="train.find-take").disabled


def test_a_rate_that_no_factor_reaches_is_refused_in_words(
    ready: Recipe, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.training.finder import Found

    services.keep_draft(ready.changed(lr=1e-5))
    found = Found(part="fc", rates=(0.01, 0.1), losses=(1.0, 0.5), smooth=(1.0, 0.5), suggestion=0.1, stopped="end")
    job = Job("j", "finder", "", state="done", result=found)
    monkeypatch.setattr(services, "find_job", lambda recipe, part: job)
    at = draw("train")
    at.button(key="train.find-take").click().run()
    assert not at.exception
    assert draft(at).rules == ready.rules
    assert "1000" in written(at)


def test_what_was_found_on_images_that_were_changed_since_is_not_shown(ready: Recipe, house: Workspace) -> None:
    from core.dataset import open_imported
    from core.dataset.edits import decide

    services.jobs().start("finder", networks._find_name(ready, None), lambda progress, cancelled: None).wait(10)
    services.jobs().start("sweep", networks._sweep_name(ready), lambda progress, cancelled: None).wait(10)
    assert services.find_job(ready.changed(lr=0.5), None) is not None
    assert services.sweep_job(ready.changed(lr=0.5)) is not None
    imported = services.dataset(ready.dataset)
    decide(open_imported(house, ready.dataset), "exclude", [imported.items[0].sha256])
    assert services.find_job(ready, None) is None
    assert services.sweep_job(ready) is None


def test_what_is_measured_is_measured_where_a_run_would_be(ready: Recipe) -> None:
    assert ready.device == "auto"
    assert networks._settled(ready).device == "cpu", "the server of these tests was told so"
    assert networks._settled(ready.changed(device="mps")).device == "mps"


def test_presets_and_single_changes_are_one_thing(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.pills(key="recipe.augment").set_value("upright").run()
    assert draft(at).augment == AUGMENT_PRESETS["upright"]
    assert at.slider(key="recipe.augment.rotation").value == 8.0
    at.slider(key="recipe.augment.rotation").set_value(30.0).run()
    assert draft(at).augment == AUGMENT_PRESETS["upright"].model_copy(update={"rotation": 30.0})
    assert at.pills(key="recipe.augment").value == "custom"
    assert ENGLISH["augment.custom.help"] in captions(at)


def test_real_pictures_are_shown_as_the_network_will_see_them(ready: Recipe, draw: Draw, sent: Sent) -> None:
    at = draw("train")
    plain = sent(at, "train.pictures")["pictures"]
    assert len({one["url"] for one in plain}) == 8
    at.pills(key="recipe.augment").set_value("strong").run()
    assert not {one["url"] for one in plain} & {one["url"] for one in sent(at, "train.pictures")["pictures"]}


def test_pictures_to_follow_are_taken_and_left_with_a_press(ready: Recipe, draw: Draw, press: Press, sent: Sent) -> None:
    at = draw("train")
    offered = sent(at, "train.film-choice")["pictures"]
    kinds = {one["caption"] for one in offered}
    assert len(offered) == sum(services.split_counts(draft(at))["val"].values())
    assert kinds == set(services.dataset(draft(at).dataset).classes)
    press(at, "train.film-choice", "clicked", 1)
    assert [one in offered[1]["url"] for one in draft(at).film] == [True]
    assert sent(at, "train.film-choice")["pictures"][1]["tone"] == "good"
    press(at, "train.film-choice", "clicked", 1)
    assert draft(at).film == ()


# --- a run ----------------------------------------------------------------------------------------------------------------


class Teacher:
    """Stands in for training: says what a test lets it say, and hears what it is told."""

    def __init__(self) -> None:
        self.may_begin, self.begun, self.may_end = threading.Event(), threading.Event(), threading.Event()
        self.heard: list[Command] = []

    def __call__(
        self, recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None = None, edits: object = ()
    ) -> Generator[Event, Command | None, None]:
        assert self.may_begin.wait(10)
        group = GroupInfo(name="", lr_scale=1.0, parameters=10)
        yield Started(
            device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=("a", "b"),
            splits={"train": 24, "val": 3, "test": 3}, groups=(group,), parameters_total=10, parameters_trainable=10,
            held=(), steps_per_epoch=2, epochs=recipe.epochs, step=0,
        )  # fmt: skip
        yield StepDone(step=1, epoch=1, loss=0.75, correct=6, images=12, lr=0.001, clock=1.0)
        yield StepDone(step=2, epoch=1, loss=0.5, correct=9, images=12, lr=0.001, clock=2.0)
        yield EpochDone(
            epoch=1, step=2, train_loss=0.6, train_accuracy=0.6, val_loss=0.7, val_accuracy=0.6667, val_macro_f1=0.6,
            best=True, clock=3.0,
        )  # fmt: skip
        step = 2
        while not self.may_end.is_set():
            step += 1
            command = yield StepDone(step=step, epoch=2, loss=0.5, correct=9, images=12, lr=0.001, clock=4.0)
            self.begun.set()
            if isinstance(command, Amend):
                self.heard.append(command)
                yield Replanned(
                    cause="person", step=step, epoch=2, rules=command.rules or (), lr=command.lr or recipe.lr,
                    parameters_trainable=5, groups=(group,), held=(),
                )  # fmt: skip
            elif command is not None:
                self.heard.append(command)
                outcome = {"pause": "paused", "stop": "stopped", "discard": "discarded"}[command.kind]
                yield Ended(outcome=outcome, step=step, epoch=2, best_epoch=1)  # type: ignore[arg-type]
                return
            self.may_end.wait(0.01)
        yield from self.measured(recipe, folder)
        yield Ended(outcome="finished", step=24, epoch=12, best_epoch=1)

    def measured(self, recipe: Recipe, folder: Path) -> Generator[Event, Command | None, None]:
        import numpy as np

        from core.evaluation import scores
        from core.events import Tested

        figures = scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), ("a", "b"), majority=0)
        yield Tested(split="test", epoch=1, scores=figures, file="test.json")


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    one = Teacher()
    yield one
    one.may_begin.set()
    one.may_end.set()


@pytest.fixture
def school(workspace: Workspace, teacher: Teacher, pictures: Path) -> Iterator[Engine]:
    """An engine at work in the open workspace, with a data set and a draft that can be started."""
    from core.dataset import import_dataset

    store = RunStore(workspace)
    engine = Engine(workspace, store, "cpu", train=teacher)
    engine.start()
    services.open(engine, store, workspace)
    dataset = import_dataset(pictures, workspace)
    services.keep_draft(Recipe(dataset=dataset.id, backbone="thaw-small", image_size=32, epochs=12))
    yield engine
    teacher.may_begin.set()
    teacher.may_end.set()
    assert engine.shutdown(10)
    services.close()
    store.close()


def until(run_id: str, *states: str) -> None:
    """Wait for the store to say one of `states`."""
    for _ in range(1000):
        if services.run(run_id).state in states:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{services.run(run_id).state} instead of {states}")


def started(draw: Draw) -> tuple[AppTest, str]:
    at = draw("train")
    at.button(key="train.start").click().run()
    assert not at.exception
    return at, str(at.query_params["run"])


def figures(at: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in at.metric}


def test_start_opens_the_run_and_writes_it_into_the_address(school: Engine, draw: Draw) -> None:
    at, run_id = started(draw)
    run = services.run(run_id)
    assert run.recipe == services.first_draft().changed(device="cpu")
    assert at.title[0].value == run.name.replace("-", r"\-")
    until(run_id, "running")
    assert at.run().button(key="train.pause").label == ENGLISH["train.pause"]


def test_the_run_is_shown_as_it_goes(school: Engine, teacher: Teacher, draw: Draw, sent: Sent) -> None:
    at, run_id = started(draw)
    teacher.may_begin.set()
    assert teacher.begun.wait(10)
    at.run()
    shown = figures(at)
    assert shown["Epoch"] == "2 / 12"
    assert shown["Best so far"] == "66.7 %"
    assert [one.delta for one in at.metric if one.label == "Images per second"] == ["cpu"]
    chart = sent(at, "train.chart")
    assert (chart["run"], chart["stretches"], chart["steps_per_epoch"]) == (run_id, [[0, {"": 1.0}]], 2)


def watched(teacher: Teacher, draw: Draw) -> tuple[AppTest, str]:
    at, run_id = started(draw)
    teacher.may_begin.set()
    assert teacher.begun.wait(10)
    return at.run(), run_id


def heard(teacher: Teacher, many: int = 1) -> list[Command]:
    for _ in range(500):
        if len(teacher.heard) >= many:
            return teacher.heard
        threading.Event().wait(0.01)
    raise AssertionError(f"heard {teacher.heard}")


def test_a_click_on_the_tree_of_a_run_is_heard_shown_at_once_and_marked(
    school: Engine, teacher: Teacher, draw: Draw, press: Press, sent: Sent
) -> None:
    at, run_id = watched(teacher, draw)
    tree = sent(at, f"train.tree.{run_id}")
    assert (tree["disabled"], tree["epoch"], tree["rules"]) == (False, 2, {})
    assert tree["watch"] == f"/api/runs/{run_id}/readings"
    wish = {"sig": tree["sig"], "rev": tree["rev"], "rules": {"layer1": {"trainable": False}}}
    press(at, f"train.tree.{run_id}", "wish", wish)
    frozen = (BlockRule(path="layer1", trainable=False),)
    assert heard(teacher) == [Amend(rules=frozen)]
    for _ in range(300):
        if services.run_state(run_id).edits:
            break
        threading.Event().wait(0.01)
    at.run()
    assert services.store().edits(run_id)[0].rules == frozen
    later = sent(at, "train.chart")["stretches"]
    assert (len(later), later[1][0]) == (2, services.run_state(run_id).edits[0].step)
    assert services.curve(run_id).since(-1, "")["marks"] == [(later[1][0], "person")]


def test_a_base_rate_is_heard_and_stays_in_its_field(school: Engine, teacher: Teacher, draw: Draw) -> None:
    at, run_id = watched(teacher, draw)
    at.number_input(key=f"train.base.{run_id}").set_value(0.0005).run()
    assert heard(teacher) == [Amend(lr=0.0005)]
    assert at.run().number_input(key=f"train.base.{run_id}").value == 0.0005


def test_freezing_everything_is_refused_in_words_and_the_run_goes_on(
    school: Engine, teacher: Teacher, draw: Draw, press: Press, sent: Sent
) -> None:
    at, run_id = watched(teacher, draw)
    tree = sent(at, f"train.tree.{run_id}")
    press(at, f"train.tree.{run_id}", "wish", {"sig": tree["sig"], "rev": tree["rev"], "rules": {"": {"trainable": False}}})
    assert any(one.value.startswith(":red[") for one in at.caption)
    assert teacher.heard == []


def test_the_narrator_says_something_about_a_run_at_work(school: Engine, teacher: Teacher, draw: Draw) -> None:
    at, _ = watched(teacher, draw)
    assert any(":green[" in one.value or ":orange[" in one.value or ":blue[" in one.value for one in at.markdown)


def test_a_pitfall_is_named_before_the_start_and_its_button_heeds_it(school: Engine, draw: Draw) -> None:
    at = draw("train")
    at.slider(key="recipe.augment.rotation").set_value(90.0).run()
    at.button(key="train.heed.turned").click().run()
    assert draft(at).augment.rotation == 10.0
    assert "train.heed.turned" not in [one.key for one in at.button]


def test_another_tab_and_a_reload_show_the_same_run(school: Engine, draw: Draw) -> None:
    _, run_id = started(draw)
    other = draw("train", run=run_id)
    assert other.title[0].value == services.run(run_id).name.replace("-", r"\-")
    assert "train.start" not in [one.key for one in other.button]


def test_a_new_tab_offers_to_watch_what_is_at_work(school: Engine, draw: Draw) -> None:
    _, run_id = started(draw)
    other = draw("train")
    other.button(key=f"train.watch.{run_id}").click().run()
    assert other.query_params["run"] == run_id
    assert other.title[0].value == services.run(run_id).name.replace("-", r"\-")


def test_a_second_run_queues_and_its_place_is_said(school: Engine, draw: Draw) -> None:
    started(draw)
    at = draw("train")
    assert at.button(key="train.start").label == ENGLISH["train.queue"]
    at.button(key="train.start").click().run()
    assert any("place 1 in the queue" in one.proto.text for one in at.get("progress"))


@pytest.mark.parametrize(("button", "command", "state_after"), [("pause", Pause(), "paused"), ("stop", Stop(), "stopped")])
def test_a_run_does_what_its_buttons_say(
    school: Engine, teacher: Teacher, draw: Draw, button: str, command: Command, state_after: str
) -> None:
    at, run_id = started(draw)
    teacher.may_begin.set()
    assert teacher.begun.wait(10)
    at.run().button(key=f"train.{button}").click().run()
    until(run_id, state_after)
    assert teacher.heard == [command]
    at.run()
    assert at.button(key="train.resume").label == ENGLISH["train.resume"]
    assert "train.pause" not in [one.key for one in at.button]


def test_what_was_asked_is_said_and_the_buttons_are_off_until_it_is_done(
    school: Engine, draw: Draw, teacher: Teacher
) -> None:
    at, run_id = started(draw)
    until(run_id, "running")
    at.run().button(key="train.stop").click().run()
    assert ENGLISH["train.told.stop"] in captions(at)
    assert at.button(key="train.pause").disabled
    assert at.button(key="train.discard").disabled
    teacher.may_begin.set()
    until(run_id, "stopped")


def test_a_run_that_went_on_elsewhere_can_be_told_again(school: Engine, draw: Draw, teacher: Teacher) -> None:
    at, run_id = started(draw)
    teacher.may_begin.set()
    assert teacher.begun.wait(10)
    at.run().button(key="train.pause").click().run()
    until(run_id, "paused")
    teacher.begun.clear()
    services.resume(run_id)  # from the list of runs, another tab, a command line
    assert teacher.begun.wait(10)
    at.run()
    assert not at.button(key="train.pause").disabled
    assert ENGLISH["train.told.pause"] not in captions(at)


def test_a_run_that_was_stopped_before_it_learned_says_so_and_offers_no_results(school: Engine, draw: Draw) -> None:
    store = services.store()
    run = store.create(Recipe(dataset="demo:digits"))
    assert store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="stopped")])
    at = draw("train", run=run.id)
    assert ENGLISH["train.result.nothing"] in written(at)
    assert not {"train.results", "train.try", "train.resume"} & {one.key for one in at.button}


@pytest.mark.parametrize(
    ("step", "epoch", "when"),
    [(2, 1, "(epoch 1)"), (1, 1, "(epoch 1, after 50 % of it)"), (3, 2, "(epoch 2, after 50 % of it)")],
)
def test_a_run_stopped_within_an_epoch_does_not_call_it_a_whole_one(
    school: Engine, draw: Draw, step: int, epoch: int, when: str
) -> None:
    store = services.store()
    run = store.create(Recipe(dataset="demo:digits"))
    assert store.transition(run.id, "running")
    began = Started(
        device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=("a", "b"),
        splits={"train": 24, "val": 3, "test": 3}, groups=(), parameters_total=10, parameters_trainable=10,
        held=(), steps_per_epoch=2, epochs=4, step=0,
    )  # fmt: skip
    done = EpochDone(
        epoch=epoch,
        step=step,
        train_loss=0.6,
        train_accuracy=0.6,
        val_loss=0.7,
        val_accuracy=0.8,
        val_macro_f1=0.6,
        best=True,
    )
    store.append(run.id, [began, done, Ended(outcome="stopped", step=step, epoch=epoch, best_epoch=epoch)])
    assert when in written(draw("train", run=run.id))


def test_a_run_without_validation_claims_no_figure(school: Engine, draw: Draw) -> None:
    store = services.store()
    run = store.create(Recipe(dataset="demo:digits"))
    assert store.transition(run.id, "running")
    done = EpochDone(
        epoch=2, step=4, train_loss=0.6, train_accuracy=0.6, val_loss=None, val_accuracy=None, val_macro_f1=None, best=True
    )
    store.append(run.id, [done, Ended(outcome="finished", step=4, epoch=2, best_epoch=2)])
    assert ENGLISH["train.result.unjudged"].format(epoch=2) in written(draw("train", run=run.id))


def test_discarding_asks_first(school: Engine, draw: Draw, teacher: Teacher) -> None:
    at, run_id = started(draw)
    teacher.may_begin.set()
    assert teacher.begun.wait(10)
    at.run().button(key="train.discard").click().run()
    assert services.run(run_id).state == "running"
    assert at.button(key="train.discard-yes").label == ENGLISH["train.discard.yes"]
    services.send(run_id, Discard())
    until(run_id, "discarded")
    assert ENGLISH["train.live.discarded"] in [one.proto.text for one in at.run().get("progress")]


def test_the_end_is_a_sentence_and_a_way_to_the_results(school: Engine, teacher: Teacher, draw: Draw) -> None:
    at, run_id = started(draw)
    teacher.may_begin.set()
    teacher.may_end.set()
    until(run_id, "finished")
    at.run()
    assert at.success[0].value == ENGLISH["train.result.finished.test"].format(accuracy="100.0 %", epoch=1)
    assert figures(at)["Test accuracy"] == "100.0 %"
    assert at.button(key="train.results").label == ENGLISH["train.to_results"]
    at.button(key="train.another").click().run()
    assert at.title[0].value == ENGLISH["train.title"]
    assert "run" not in at.query_params


def test_a_failure_is_said_with_cause_and_remedy(ready: Recipe, draw: Draw) -> None:
    store = services.store()
    run = store.create(ready)
    assert store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="failed", code="path.missing", values={"path": "/a_*b*"})])
    at = draw("train", run=run.id)
    assert r"/a\_\*b\*" in at.error[0].value
    assert not at.exception


def paused(recipe: Recipe) -> Run:
    """A run that rests with a checkpoint of its first step."""
    store = services.store()
    run = store.create(recipe)
    assert store.transition(run.id, "running")
    (store.folder(run.id) / "a.ckpt").write_bytes(b"")
    digest = hashlib.sha256(b"").hexdigest()
    saved = Saved(step=1, epoch=0, file="a.ckpt", sha256=digest, size_bytes=0, best=False)
    store.append(run.id, [saved, Ended(outcome="paused", step=1)])
    return run


def test_a_paused_run_goes_on_at_a_press(ready: Recipe, draw: Draw) -> None:
    run = paused(ready)
    at = draw("train", run=run.id)
    assert ENGLISH["train.live.paused"] in [one.proto.text for one in at.get("progress")]
    at.button(key="train.resume").click().run()
    assert services.run(run.id).state == "queued"


def test_a_paused_run_can_be_ended_with_what_it_has_learned(ready: Recipe, draw: Draw) -> None:
    run = paused(ready)
    at = draw("train", run=run.id)
    at.button(key="train.stop").click().run()
    assert services.run(run.id).state == "queued"
    assert ENGLISH["train.told.stop.waits"] in captions(at)
    assert services.store().take(run.id) == [Stop()]


def test_a_run_that_was_paused_before_it_learned_has_nothing_to_keep(ready: Recipe, draw: Draw) -> None:
    store = services.store()
    run = store.create(ready)
    assert store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="paused")])
    at = draw("train", run=run.id)
    assert {"train.resume", "train.discard"} <= {one.key for one in at.button}
    assert "train.stop" not in {one.key for one in at.button}


@pytest.mark.usefixtures("house")
def test_a_run_that_does_not_exist_leads_back_to_the_settings(draw: Draw) -> None:
    at = draw("train", run="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert "01ARZ3NDEKTSV4RRFFQ69G5FAV" in at.error[0].value
    assert at.title[0].value == ENGLISH["train.title"]
    assert "run" not in at.query_params


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_state_and_stage_has_a_badge_and_words(language: str) -> None:
    from typing import get_args

    from core.history import Stage
    from core.run import STATES

    words = catalogue(language)
    assert set(live.BADGES) == set(STATES)
    assert {f"state.{name}" for name in STATES} <= set(words)
    assert {f"train.live.{stage}" for stage in get_args(Stage)} <= set(words)
