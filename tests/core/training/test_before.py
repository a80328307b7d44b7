"""Tensors come back to the bit, and an optimizer's step that does not count changes nothing."""

import copy

import pytest
import torch
from torch import nn

from core.training.before import Before, step_unless

YES, NO = torch.ones(()), torch.zeros(())
MADE = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, fused=True),
    "adam, not fused": lambda p: torch.optim.Adam(p, 0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.9),
}


def tensors() -> list[torch.Tensor]:
    image = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    return [torch.randn(3), image, torch.tensor(7), torch.randn(())]


@pytest.mark.parametrize("broken", [None, YES])
def test_what_was_there_comes_back_to_the_bit_and_in_its_place(broken: torch.Tensor | None) -> None:
    found = tensors()
    before, places = copy.deepcopy(found), [tensor.data_ptr() for tensor in found]
    kept = Before(found)
    for tensor in found:
        tensor.add_(1)
    found[0][1] = float("nan")
    kept.come_back(broken)
    assert all(torch.equal(one, other) for one, other in zip(found, before, strict=True))
    assert [tensor.data_ptr() for tensor in found] == places
    assert found[1].is_contiguous(memory_format=torch.channels_last)


def test_a_step_that_counts_stays() -> None:
    found = tensors()
    kept = Before(found)
    for tensor in found:
        tensor.add_(1)
    after = copy.deepcopy(found)
    kept.come_back(NO)
    assert all(torch.equal(one, other) for one, other in zip(found, after, strict=True))


def test_nothing_comes_back_where_nothing_was() -> None:
    Before([]).come_back(YES)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, broken: torch.Tensor) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan")) if broken else parameter.detach() + 0.3
    step_unless(broken, optimizer)


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("steps", ["bad good bad good good", "good bad good good"])
def test_a_broken_step_is_as_if_it_had_never_been(kind: str, steps: str) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    ours, theirs = MADE[kind](model.parameters()), MADE[kind](other.parameters())
    if kind == "sgd":  # as `load_state_by_name` leaves it
        ours.state.update({p: {"momentum_buffer": torch.zeros_like(p)} for p in model.parameters()})
    for word in steps.split():
        learn(model, ours, YES if word == "bad" else NO)
        assert not hasattr(ours, "found_inf")
        if word == "good":
            learn(other, theirs, NO)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert all(torch.equal(ours.state[one][key], theirs.state[two][key]) for key in theirs.state[two]), ours.state[one]
