"""The optimizer receives exactly the plan, the rate is a pure function of the step, and memory moves by name."""

import copy
import math

import pytest
import torch
from torch import nn

from core.optim import apply_plan, load_state_by_name, make_optimizer, set_rate, state_by_name, train_mode
from core.plan import ParamGroup, Plan
from core.schedule import lr_factor

KINDS = ["sgd", "adam", "adamw"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.stem(images).mean((2, 3))))


FROZEN_STEM = Plan(
    groups=(ParamGroup("head", 1.0, True, ("head.weight",), 8), ParamGroup("head", 1.0, False, ("head.bias",), 2)),
    frozen=frozenset({"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"}),
    held=("stem",),
    trainable=10,
    total=130,
    boundary="head",
)
TWO_RATES = Plan(
    groups=(
        ParamGroup("stem", 0.1, True, ("stem.0.weight",), 108),
        ParamGroup("stem", 0.1, False, ("stem.0.bias", "stem.1.weight", "stem.1.bias"), 12),
        ParamGroup("", 1.0, True, ("head.weight",), 8),
        ParamGroup("", 1.0, False, ("head.bias",), 2),
    ),
    frozen=frozenset(),
    held=(),
    trainable=130,
    total=130,
    boundary="stem.0",
)


def network(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def optimizer(model: nn.Module, plan: Plan, kind: str) -> torch.optim.Optimizer:
    apply_plan(model, plan)
    return make_optimizer(model, plan, kind=kind, lr=0.1, momentum=0.9, weight_decay=0.2)  # type: ignore[arg-type]


def steps(model: nn.Module, plan: Plan, optimizer: torch.optim.Optimizer, numbers: range) -> None:
    for number in numbers:
        train_mode(model, plan)
        images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        torch.manual_seed(number)
        nn.functional.cross_entropy(model(images), torch.arange(6) % 2).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_parameters_and_buffers_stay_as_they_are_to_the_bit(kind: str) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    steps(model, FROZEN_STEM, optimizer(model, FROZEN_STEM, kind), range(3))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.weight", "head.bias"}


def test_only_what_learns_is_in_the_optimizer_and_each_once() -> None:
    model = network()
    groups = optimizer(model, FROZEN_STEM, "adamw").param_groups
    named = dict(model.named_parameters())
    assert [[id(p) for p in group["params"]] for group in groups] == [[id(named["head.weight"])], [id(named["head.bias"])]]
    assert {name for name, parameter in named.items() if parameter.requires_grad} == {"head.weight", "head.bias"}


def test_groups_carry_name_rate_and_decay() -> None:
    groups = optimizer(network(), TWO_RATES, "adamw").param_groups
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("stem", pytest.approx(0.01), 0.2),
        ("stem", pytest.approx(0.01), 0.0),
        ("", 0.1, 0.2),
        ("", 0.1, 0.0),
    ]


def test_the_rate_of_a_group_is_the_base_rate_times_its_scale() -> None:
    made = optimizer(network(), TWO_RATES, "sgd")
    set_rate(made, 0.5)
    assert [group["lr"] for group in made.param_groups] == [0.05, 0.05, 0.5, 0.5]


def test_a_plan_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="other"):
        apply_plan(nn.ModuleDict({"other": nn.Linear(1, 1)}), FROZEN_STEM)


def test_held_blocks_are_in_eval_and_only_those() -> None:
    model = network().eval()
    train_mode(model, FROZEN_STEM)
    assert {name for name, module in model.named_modules() if not module.training} == {"stem", "stem.0", "stem.1"}


@pytest.mark.parametrize("kind", KINDS)
def test_memory_moved_by_name_goes_on_to_the_bit(kind: str) -> None:
    unbroken = network()
    its_own = optimizer(unbroken, TWO_RATES, kind)
    steps(unbroken, TWO_RATES, its_own, range(3))
    other = network(seed=9)
    other.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    new = optimizer(other, TWO_RATES, kind)
    load_state_by_name(new, copy.deepcopy(state_by_name(its_own)))
    steps(unbroken, TWO_RATES, its_own, range(3, 6))
    steps(other, TWO_RATES, new, range(3, 6))
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_memory_of_names_that_no_longer_learn_is_left_out() -> None:
    model = network()
    old = optimizer(model, TWO_RATES, "adamw")
    steps(model, TWO_RATES, old, range(1))
    new = optimizer(model, FROZEN_STEM, "adamw")
    load_state_by_name(new, state_by_name(old))
    assert set(state_by_name(new)) == {"head.weight", "head.bias"}


def factors(total_epochs: int, schedule: str, warmup: float = 0.0, **more: float) -> list[float]:
    return [
        lr_factor(
            step,
            steps_per_epoch=4,
            epochs=total_epochs,
            schedule=schedule,  # type: ignore[arg-type]
            warmup_epochs=warmup,
            **more,  # type: ignore[arg-type]
        )
        for step in range(4 * total_epochs)
    ]


def test_warm_up_rises_in_a_straight_line_and_ends_at_the_full_rate() -> None:
    assert factors(3, "constant", 1.0) == [0.25, 0.5, 0.75] + [1.0] * 9


def test_cosine_is_half_a_wave_after_the_warm_up() -> None:
    got = factors(3, "cosine", 1.0)
    assert got[4] == 1.0
    assert got[8] == pytest.approx(0.5)
    assert got[11] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    assert got[4:] == sorted(got[4:], reverse=True)
    assert got[-1] > 0


def test_cosine_without_warm_up_agrees_with_torch() -> None:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=12)
    expected = []
    for _ in range(12):
        expected.append(made.param_groups[0]["lr"])
        made.step()
        theirs.step()
    assert factors(3, "cosine") == pytest.approx(expected)


def test_step_decay_counts_whole_epochs_from_the_first() -> None:
    got = factors(5, "step", 0.5, step_epochs=2, step_factor=0.1)
    assert got == pytest.approx([0.5, 1.0, 1, 1, 1, 1, 1, 1, *[0.1] * 8, *[0.01] * 4])


def test_a_run_of_one_epoch_may_be_all_warm_up() -> None:
    assert factors(1, "cosine", 5.0) == [0.25, 0.5, 0.75, 1.0]
