import torch
from torch.nn import functional as F

from core.pretraining.cells import CELLS, LOBES, Smears, draw, make_kinds
from core.pretraining.scenes import MASK

KINDS = make_kinds(CELLS, 0)


def drawn(seed: int, count: int = 96) -> Smears:
    return draw(KINDS, count, 32, torch.Generator().manual_seed(seed))


def test_pictures_follow_from_their_generator() -> None:
    assert all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not torch.equal(drawn(1).images, drawn(2).images)


def test_pictures_are_bytes_with_a_body_in_the_middle() -> None:
    smears = drawn(1)
    assert (smears.images.dtype, tuple(smears.images.shape)) == (torch.uint8, (96, 3, 32, 32))
    assert 0 <= int(smears.kind.min()) <= int(smears.kind.max()) < CELLS
    half = MASK // 2
    assert float(smears.mask[:, half - 1 : half + 1, half - 1 : half + 1].mean((1, 2)).median()) > 0.9
    assert bool((smears.nucleus <= smears.mask + 1e-5).all())


def test_a_nucleus_is_there_where_lobes_are_told_and_nowhere_else() -> None:
    smears = drawn(2, 256)
    area = smears.nucleus.sum((1, 2))
    assert set(smears.lobes.tolist()) == set(range(LOBES + 1))
    assert float(area[smears.lobes == 0].max()) == 0
    assert float(area[smears.lobes > 0].min()) > 0.5


def test_kinds_of_the_same_form_come_in_fours_of_other_colours() -> None:
    fours = KINDS.lobes.view(-1, 4), KINDS.lobe.view(-1, 4), KINDS.pale.view(-1, 4)
    assert all(bool((four == four[:, :1]).all()) for four in fours)
    bodies = KINDS.body.view(-1, 4, 3)
    assert float((bodies[:, 0] - bodies[:, 1]).norm(dim=1).median()) > 0.2


def test_a_kind_is_known_by_the_colour_of_its_body() -> None:
    smears = drawn(3, 256)
    plain = (smears.lobes == 0) & (KINDS.pale[smears.kind] == 0) & (KINDS.grains[smears.kind] == 0)
    assert int(plain.sum()) > 10
    images, mask = smears.images[plain].float() / 255, smears.mask[plain, None]
    seen = (F.adaptive_avg_pool2d(images, MASK) * (mask > 0.95)).sum((2, 3)) / (mask > 0.95).sum((2, 3)).clamp(min=1)
    truth = KINDS.body[smears.kind[plain]]
    own = (seen - truth).norm(dim=1)
    other = (seen - truth.roll(1, 0)).norm(dim=1)
    assert float((own < other).float().mean()) > 0.8
