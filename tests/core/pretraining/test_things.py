import torch

from core.pretraining.things import LIMBS, WAVES, Individuals, Pose, distance, grow, make_kinds, placed


def disc(radius: float) -> Individuals:
    nothing = torch.zeros(1, LIMBS)
    return Individuals(
        core=torch.tensor([radius]),
        centre=torch.zeros(1, 2),
        amplitude=torch.zeros(1, WAVES),
        phase=torch.zeros(1, WAVES),
        start=torch.zeros(1, LIMBS, 2),
        end=torch.zeros(1, LIMBS, 2),
        root=nothing,
        tip=nothing,
        present=torch.zeros(1, LIMBS, dtype=torch.bool),
        free=torch.zeros(1, LIMBS, dtype=torch.bool),
        rim=torch.zeros(1),
    )


def pose(x: float = 0.0, y: float = 0.0, size: float = 1.0, turn: float = 0.0) -> Pose:
    return Pose(torch.tensor([[x, y]]), torch.tensor([size]), torch.tensor([turn]), torch.ones(1))


def grid(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


def test_the_distance_to_a_disc_is_exact_near_its_outline() -> None:
    x, y = grid(32)
    truth = torch.hypot(x - 0.2, y + 0.1) - 0.3
    found = distance(disc(0.6), pose(0.2, -0.1, 0.5), 32)[0]
    near = truth.abs() < 0.25
    assert torch.allclose(found[near], truth[near], atol=1e-5)


def test_a_limb_that_is_there_covers_its_way_and_one_that_lacks_covers_nothing() -> None:
    end = torch.zeros(1, LIMBS, 2)
    end[0, 0, 0] = 0.8
    there = torch.zeros(1, LIMBS, dtype=torch.bool)
    there[0, 0] = True
    thick = torch.full((1, LIMBS), 0.1)
    limb = disc(0.0)._replace(end=end, root=thick, tip=thick, present=there)
    x, y = grid(64)
    inside = distance(limb, pose(), 64)[0] < 0
    truth = torch.hypot(x - x.clamp(0, 0.8), y) < 0.1
    assert bool((inside == truth).float().mean() > 0.995)
    assert not bool((distance(limb._replace(present=~there & False), pose(), 64) < 0).any())


def test_a_ring_is_hollow() -> None:
    ring = disc(0.6)._replace(rim=torch.tensor([0.1]))
    field = distance(ring, pose(), 65)[0]
    assert field[32, 32] > 0.3
    assert field[32, 32 + round(0.6 * 32.5)] < -0.05


def test_turning_a_thing_turns_its_picture() -> None:
    kinds = make_kinds(6, 5)
    things = grow(kinds, torch.arange(6), torch.Generator().manual_seed(0))
    upright = Pose(torch.zeros(6, 2), torch.full((6,), 0.8), torch.zeros(6), torch.ones(6))
    turned = upright._replace(turn=torch.full((6,), torch.pi / 2))
    assert torch.allclose(distance(things, turned, 24), torch.rot90(distance(things, upright, 24), -1, (1, 2)), atol=1e-3)


def test_kinds_follow_from_the_seed_and_every_thing_fits_around_its_origin() -> None:
    kinds, again, other = make_kinds(300, 1), make_kinds(300, 1), make_kinds(300, 2)
    assert torch.equal(kinds.angle, again.angle)
    assert not torch.equal(kinds.angle, other.angle)
    things = grow(kinds, torch.arange(300), torch.Generator().manual_seed(0))
    shown = distance(things, Pose(torch.zeros(300, 2), torch.full((300,), 0.6), torch.zeros(300), torch.ones(300)), 48) < 0
    covered = shown.float().mean((1, 2))
    assert bool((covered > 0.004).all())
    assert bool((covered < 0.65).all())


def test_only_limbs_that_nothing_grows_from_are_left_out() -> None:
    kinds = make_kinds(200, 3)
    which = torch.arange(200)
    things = grow(kinds, which, torch.Generator().manual_seed(0), lacking=1.0)
    bears = torch.zeros(200, LIMBS, dtype=torch.bool)
    for kind in range(200):
        for limb in range(LIMBS):
            if kinds.exists[kind, limb] and kinds.parent[kind, limb] >= 0:
                bears[kind, kinds.parent[kind, limb]] = True
    first = (torch.arange(LIMBS) == 0) & (kinds.core == 0)[:, None]
    assert torch.equal(things.present, kinds.exists & (bears | first))
    assert bool(torch.equal(grow(kinds, which, torch.Generator(), lacking=0.0).present, kinds.exists))


def test_limbs_end_where_it_is_told_that_they_end() -> None:
    kinds, rng = make_kinds(100, 0), torch.Generator().manual_seed(0)
    things = grow(kinds, torch.arange(100), rng)
    pose = Pose(
        0.3 * torch.rand(100, 2, generator=rng), torch.full((100,), 0.6), torch.rand(100) * 6, torch.full((100,), 1.3)
    )
    field = distance(things._replace(rim=torch.zeros(100)), pose, 64)
    ends = placed(things.end, pose)
    cells = ((ends + 1) * 32).long()
    within = things.free & ((cells >= 0) & (cells < 64)).all(2)
    rows = torch.arange(100)[:, None].expand(-1, LIMBS)[within]
    assert int(within.sum()) > 100
    assert float(field[rows, cells[within][:, 1], cells[within][:, 0]].max()) < 0.03
    assert not bool((things.free & ~things.present).any())
