"""A device that fails in a step: the run can go on elsewhere in time, and nothing more is asked of the device."""

import pytest
import torch

from core import checkpoint, slot
from core.device import choose_device, is_fault, out_of_memory
from core.errors import TrainingError
from core.events import Saved
from core.recipe import Recipe
from core.training.finder import find_rate
from core.training.learner import Learner

ASSERT = "CUDA error: device-side assert triggered"
FAULTS = [torch.AcceleratorError(ASSERT), RuntimeError(ASSERT)]


@pytest.fixture(autouse=True)
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_lost", set())


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch):
    """The device fails in that step, and any later use of it by the learner is noted."""
    later: list[str] = []

    def arm(number: int, fault: Exception) -> list[str]:
        forward, failed = Learner._gradients, [False]

        def broken(self: Learner, *given: object) -> object:
            if given[3] == number:
                failed[0] = True
                raise fault
            return forward(self, *given)

        def noted(name: str) -> None:
            method = getattr(Learner, name)

            def wrapped(self: Learner, *given: object, **named: object) -> object:
                if failed[0]:
                    later.append(name)
                return method(self, *given, **named)

            monkeypatch.setattr(Learner, name, wrapped)

        monkeypatch.setattr(Learner, "_gradients", broken)
        for name in ("step", "load", "state", "outputs", "finite"):
            noted(name)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: later.append("empty_cache") if failed[0] else None)
        zero = torch.optim.Optimizer.zero_grad

        def zeroed(self: torch.optim.Optimizer, set_to_none: bool = True) -> None:
            if failed[0]:
                later.append("zero_grad")
            zero(self, set_to_none)

        monkeypatch.setattr(torch.optim.Optimizer, "zero_grad", zeroed)
        return later

    return arm


@pytest.mark.parametrize("fault", FAULTS, ids=["accelerator", "runtime"])
def test_a_failed_device_ends_the_run_after_its_last_checkpoint_and_is_asked_nothing_more(
    run, recipe: Recipe, tmp_path, fail_at, fault: Exception
) -> None:
    later = fail_at(6, fault)
    said = run(recipe)
    (saved,) = said.of(Saved)
    assert saved.step < 7
    assert (said.ended.outcome, said.ended.code) == ("failed", "training.device_failed")
    assert said.ended.values == {"device": "cpu", "step": saved.step}
    assert later == []
    assert checkpoint.load(tmp_path / "run" / saved.file)["place"]["step"] == saved.step
    assert slot.lost() == ("cpu",)
    with pytest.raises(TrainingError, match="cannot be used until Thaw is restarted"):
        choose_device("cpu")


def test_a_device_that_fails_in_the_trial_step_is_asked_nothing_more(run, recipe: Recipe, fail_at) -> None:
    later = fail_at(0, FAULTS[0])
    said = run(recipe)
    assert (said.ended.code, said.ended.values["step"]) == ("training.device_failed", 0)
    assert later == []


def test_a_device_that_fails_under_the_search_for_a_rate_is_lost_too(recipe: Recipe, workspace, fail_at) -> None:
    fail_at(2, FAULTS[1])
    with pytest.raises(TrainingError, match="cannot be used until Thaw is restarted"):
        find_rate(recipe, workspace=workspace, steps=20)
    assert slot.lost() == ("cpu",)


def test_full_memory_and_defects_are_no_failures_of_a_device() -> None:
    full = [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("CUDA error: out of memory"), MemoryError()]
    assert [(is_fault(error), out_of_memory(error)) for error in full] == [(False, True)] * 3
    assert not is_fault(RuntimeError("sizes of tensors must match"))
    assert [is_fault(error) for error in FAULTS] == [True, True]
