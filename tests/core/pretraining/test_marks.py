import torch
from torch.nn import functional as F

from core.pretraining import textures
from core.pretraining.marks import FORMS, MARKS, SPOTS, UNMARKED, Marked, draw, make_kinds
from core.pretraining.scenes import MASK

KINDS = make_kinds(0)
SURFACES = textures.make_kinds(64, 1)


def drawn(seed: int, count: int = 96) -> Marked:
    return draw(KINDS, SURFACES, count, 32, torch.Generator().manual_seed(seed))


def test_pictures_follow_from_their_generator() -> None:
    assert all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not torch.equal(drawn(1).images, drawn(2).images)


def test_pictures_are_bytes_with_a_thing_of_a_known_form() -> None:
    marked = drawn(1)
    assert (marked.images.dtype, tuple(marked.images.shape)) == (torch.uint8, (96, 3, 32, 32))
    assert 0 <= int(marked.form.min()) <= int(marked.form.max()) < FORMS
    assert 0 <= int(marked.mark.min()) <= int(marked.mark.max()) <= UNMARKED == MARKS
    assert 0.2 < float(marked.mask.mean()) < 0.7
    assert int(KINDS.spots.max()) <= SPOTS


def test_marks_lie_on_the_thing_and_what_is_unmarked_has_hardly_any() -> None:
    marked = drawn(2, 256)
    assert bool((marked.spoilt <= marked.mask + 1e-5).all())
    clean = marked.mark == UNMARKED
    assert 0.1 < float(clean.float().mean()) < 0.45
    assert float(marked.spoilt[clean].mean((1, 2)).max()) < 0.01 < float(marked.spoilt[~clean].mean((1, 2)).median())
    share = marked.spoilt.sum((1, 2)) / marked.mask.sum((1, 2))
    assert float((share - marked.share[:, 0])[marked.mask.mean((1, 2)) > 0.05].abs().max()) < 1e-4


def test_marks_differ_in_colour_from_what_is_around_them() -> None:
    marked = drawn(3, 256)
    pool = F.adaptive_avg_pool2d(marked.images.float() / 255, MASK)
    spoilt, sound = marked.spoilt > 0.9, (marked.mask > 0.9) & (marked.spoilt < 0.02)
    both = (spoilt.sum((1, 2)) > 0) & (sound.sum((1, 2)) > 0)
    assert int(both.sum()) > 50
    apart = [(pool[b][:, spoilt[b]].mean(1) - pool[b][:, sound[b]].mean(1)).norm() for b in both.nonzero()[:, 0]]
    assert float(torch.stack(apart).median()) > 0.2


def test_a_form_is_known_by_its_outline_and_most_have_two_like_sides() -> None:
    mirrored = (KINDS.profile[:, 0] == KINDS.profile[:, 1]).all(1)
    assert 0.6 < float(mirrored.float().mean()) < 0.9
    assert float((KINDS.profile[0] - KINDS.profile[1]).abs().max()) > 0.05
    marked = drawn(4, 1024)
    same = marked.form[:, None] == marked.form
    far = torch.cdist(marked.mask.flatten(1), marked.mask.flatten(1))
    apart = ~torch.eye(len(far), dtype=torch.bool)
    assert float(far[same & apart].mean()) < 0.9 * float(far[~same].mean())
