import torch
from torch.nn import functional as F

from core.pretraining.scenes import BROAD, MASK, PLAIN, TEXTURES, THINGS, Scenes, draw, make_world

WORLD = make_world(0)


def drawn(seed: int, count: int = 96, side: int = 32) -> Scenes:
    return draw(WORLD, count, side, torch.Generator().manual_seed(seed))


def test_scenes_follow_from_their_generator() -> None:
    first, again, other = drawn(1), drawn(1), drawn(2)
    assert torch.equal(first.images, again.images)
    assert all(torch.equal(a, b) for a, b in zip(first.answers, again.answers, strict=True))
    assert not torch.equal(first.images, other.images)


def test_images_are_bytes_with_contrast_and_answers_within_their_ranges() -> None:
    images, answers = drawn(1)
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (96, 3, 32, 32))
    assert float((images.float().flatten(1).std(1) > 4).float().mean()) > 0.97
    assert 0 <= int(answers.thing.min()) <= int(answers.thing.max()) < THINGS
    for texture, least in ((answers.fill, 0.15), (answers.ground, 0.3)):
        seen = texture[texture != PLAIN]
        assert least < len(seen) / 96 < 0.95
        assert int(seen.max()) < TEXTURES
    assert bool((answers.limbs <= answers.plan).all())
    assert set(answers.others.tolist()) == {0, 1, 2}
    assert tuple(answers.mask.shape) == (96, MASK, MASK)
    assert 0 <= float(answers.mask.min()) <= float(answers.mask.max()) <= 1


def test_the_place_that_is_told_is_where_the_silhouette_lies() -> None:
    answers = drawn(1, 256).answers
    axis = (torch.arange(MASK) + 0.5) * (2 / MASK) - 1
    area = answers.mask.sum((1, 2)).clamp(min=0.1)
    x = (answers.mask.sum(1) * axis).sum(1) / area
    y = (answers.mask.sum(2) * axis).sum(1) / area
    off = torch.hypot(x - answers.pose[:, 0], y - answers.pose[:, 1])
    assert float(off.median()) < 0.12


def test_the_thing_stands_out_from_its_ground() -> None:
    images, answers = drawn(3, 256)
    cells = F.adaptive_avg_pool2d(images.float(), MASK)
    mask = answers.mask[:, None]
    inside = (cells * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=0.5)
    beside = (cells * (1 - mask)).sum((2, 3)) / (1 - mask).sum((2, 3))
    assert float(((inside - beside).abs().amax(1) > 8).float().mean()) > 0.85


def test_marks_lie_where_limbs_end_and_nowhere_else() -> None:
    answers = drawn(4, 256).answers
    alone = answers.ends == 0
    assert float(answers.tips[alone].amax()) == 0
    marked = answers.tips.flatten(1).amax(1)[~alone]
    assert float((marked > 0.5).float().mean()) > 0.9
    strongest = answers.tips.flatten(1).argmax(1)[~alone]
    near = F.max_pool2d(answers.mask[~alone, None], 3, 1, 1).flatten(1)
    assert float((near.gather(1, strongest[:, None]) > 0.02).float().mean()) > 0.9


def test_the_filling_is_asked_of_broad_things_alone() -> None:
    answers = drawn(6, 256).answers
    broad = answers.mask.mean((1, 2)) > BROAD
    assert bool((answers.fill[~broad] == PLAIN).all())
    assert float((answers.fill[broad] != PLAIN).float().mean()) > 0.4
