"""Keeping a moment of a run at work: asked for with a name, listed when it is there."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.events import Pinned, Started, StepDone
from core.recipe import Recipe
from core.run import Run
from core.words import catalogue
from ui import services

Draw = Callable[..., AppTest]
ENGLISH = catalogue("en")


def running(dataset: str, *, steps: int) -> Run:
    store = services.store()
    run = store.create(Recipe(dataset=dataset, backbone="thaw-small", image_size=32, name="x"))
    assert store.transition(run.id, "running")
    started = Started(
        device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=("a", "b"),
        splits={"train": 24, "val": 3, "test": 3}, groups=(), parameters_total=10, parameters_trainable=10, held=(),
        steps_per_epoch=100, epochs=10, step=0,
    )  # fmt: skip
    done = [StepDone(step=n, epoch=1, loss=0.5, correct=1, images=2, lr=0.1, clock=1.0) for n in range(1, steps + 1)]
    store.append(run.id, [started, *done])
    return store.run(run.id)


def test_before_the_first_step_there_is_nothing_to_keep(flowers: str, draw: Draw) -> None:
    assert draw("train", run=running(flowers, steps=0).id).button(key="pins.keep").disabled


def test_a_moment_is_asked_for_by_name(flowers: str, draw: Draw) -> None:
    run = running(flowers, steps=12)
    at = draw("train", run=run.id)
    at.button(key="pins.keep").click().run()
    assert at.text_input(key="pins.name").value == "Moment 1"
    at.button(key="pins.go").click().run()
    (command,) = services.store().take(run.id)
    assert (command.kind, command.name) == ("pin", "Moment 1")  # type: ignore[union-attr]
    assert [toast.value for toast in at.toast] == ["Moment 1 is kept after the next step."]
    assert not at.run().toast
    assert not at.exception


def test_one_without_a_name_is_refused(flowers: str) -> None:
    with pytest.raises(Exception, match="A run needs a name") as failure:
        services.pin(running(flowers, steps=1).id, "  ")
    assert getattr(failure.value, "code", "") == "run.name_empty"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_kept_is_listed_on_the_page_of_the_run(flowers: str, draw: Draw, lang: str) -> None:
    run = running(flowers, steps=12)
    (services.run_folder(run.id) / "kept-00000007.safetensors").write_bytes(b"abc")
    pin = Pinned(step=7, epoch=1, name="`good`", file="kept-00000007.safetensors", sha256="0" * 64, size_bytes=3)
    services.store().append(run.id, [pin])
    at = draw("train", lang=lang, run=run.id)
    assert catalogue(lang)["pins.title"] in [one.value for one in at.subheader]
    assert r":material/bookmark: **\`good\`**" in [one.value for one in at.markdown]
    at.button(key="pins.let-go.kept-00000007.safetensors").click().run()
    at.button(key="pins.yes").click().run()
    assert services.pins(run.id) == ()
