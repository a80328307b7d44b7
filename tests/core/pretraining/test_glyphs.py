import torch

from core.pretraining.glyphs import ARCS, GLYPHS, PIECES, STROKES, Sheets, distance, draw, make_kinds, write
from core.pretraining.scenes import MASK

KINDS = make_kinds(GLYPHS, 0)


def drawn(seed: int, count: int = 96) -> Sheets:
    return draw(KINDS, count, 32, torch.Generator().manual_seed(seed))


def test_sheets_follow_from_their_generator() -> None:
    assert all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not torch.equal(drawn(1).images, drawn(2).images)


def test_sheets_are_bytes_with_something_written_on_each() -> None:
    sheets = drawn(1)
    assert (sheets.images.dtype, tuple(sheets.images.shape)) == (torch.uint8, (96, 3, 32, 32))
    assert 0 <= int(sheets.kind.min()) <= int(sheets.kind.max()) < GLYPHS
    ink = sheets.mask.flatten(1)
    assert ink.shape[1] == MASK * MASK
    assert 0 <= float(ink.min()) <= float(ink.max()) <= 1
    share = ink.mean(1)
    assert 0.01 < float(share.min()) < float(share.max()) < 0.7


def test_hands_write_a_kind_alike_and_other_kinds_otherwise() -> None:
    which = torch.arange(GLYPHS).repeat(2)
    points, there = write(KINDS, which, torch.Generator().manual_seed(3))
    assert tuple(points.shape) == (2 * GLYPHS, STROKES, ARCS * PIECES + 1, 2)
    lines = (distance(0.8 * points, there, 16) < 0.2).float().flatten(1)
    one, other = lines.chunk(2)
    likeness = torch.nn.functional.normalize(one, dim=1) @ torch.nn.functional.normalize(other, dim=1).T
    found = likeness.argmax(1) == torch.arange(GLYPHS)
    assert float(found.float().mean()) > 0.1  # by chance: one in 256; corners and slant move most of the ink


def test_signs_fill_their_box_and_no_more() -> None:
    points, there = write(KINDS, torch.arange(GLYPHS), torch.Generator().manual_seed(4))
    reach = points.abs().amax(-1).masked_fill(~there[..., None], 0).flatten(1).amax(1)
    assert 0.6 < float(reach.min()) <= float(reach.max()) < 2.5
    assert 0.9 < float(reach.median()) < 1.2


def test_the_distance_is_nothing_on_a_stroke_and_counts_only_strokes_that_are_there() -> None:
    points = torch.zeros(1, 2, 2, 2)
    points[0, 0] = torch.tensor([[-1.0, 0.25], [1.0, 0.25]])
    points[0, 1] = torch.tensor([[-1.0, -0.75], [1.0, -0.75]])
    both, first = (distance(points, torch.tensor([[True, second]]), 4)[0] for second in (True, False))
    assert both[:, 1].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert first[:, 1].tolist() == [1.0, 0.5, 0.0, 0.5]


def test_marks_lie_on_the_ink() -> None:
    sheets = drawn(5, 256)
    strongest = sheets.tips.flatten(1).argmax(1)
    ink = torch.nn.functional.max_pool2d(sheets.mask[:, None], 3, 1, 1).flatten(1)
    assert float((ink[torch.arange(256), strongest] > 0.1).float().mean()) > 0.9
