import torch

from core.pretraining.lessons import SHARES, STAINED, WEIGHTS, Heads, Lesson, Pool, losses, make_world
from core.pretraining.scenes import PLAIN

WORLD = make_world(0)


def lessons(uses: int, count: int) -> list[Lesson]:
    pool = Pool(WORLD, 32, 32, torch.Generator().manual_seed(0), uses=uses)
    return [pool.take() for _ in range(count)]


def test_a_lesson_holds_its_share_of_each_sort() -> None:
    lesson = lessons(1, 1)[0]
    assert tuple(lesson.images.shape) == (32, 3, 32, 32)
    assert lesson.sorts.bincount().tolist() == [round(32 * share) for share in SHARES]
    assert torch.equal(lesson.images[lesson.sorts == STAINED], lesson.smears.images)


def test_pictures_serve_in_as_many_lessons_as_they_are_to() -> None:
    first, second, third = lessons(2, 3)
    for place in range(len(SHARES)):
        one, two, last = (lesson[place].images for lesson in (first, second, third))
        half = len(one) // 2
        assert torch.equal(one[half:], two[:half])
        assert torch.equal(two[half:], last[:half])
        assert not torch.equal(one[half:], last[:half])


def test_every_loss_is_told_and_none_asks_of_a_sort_what_it_does_not_show() -> None:
    lesson = lessons(1, 1)[0]
    views = lesson.images.float().div(255).repeat(2, 1, 1, 1)
    whole = torch.arange(64) < 32
    features = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))
    told, _ = Heads()(features)
    told = {name: said.detach().requires_grad_() for name, said in told.items()}
    parts = losses(lesson, told, views, whole)
    assert parts.keys() == WEIGHTS.keys()
    for name, place in (("thing", 0), ("glyph", 1), ("cell", 2), ("form", 3)):
        (asked,) = torch.autograd.grad(parts[name], told[name], retain_graph=True)
        assert torch.equal(asked.abs().sum(1) > 0, lesson.sorts.repeat(2) == place), name
    for name, head in (("pose", "pose"), ("stain", "stain"), ("glyph tips", "tips"), ("mark", "mark"), ("ink", "ink")):
        (asked,) = torch.autograd.grad(parts[name], told[head], retain_graph=True)
        assert float(asked[32:].abs().sum()) == 0, f"{name} asked of pieces"


def test_a_question_that_no_picture_of_a_lesson_raises_costs_nothing() -> None:
    lesson = lessons(1, 1)[0]
    answers = lesson.scenes.answers
    lesson = lesson._replace(
        scenes=lesson.scenes._replace(answers=answers._replace(fill=torch.full_like(answers.fill, PLAIN))),
        smears=lesson.smears._replace(nucleus=torch.zeros_like(lesson.smears.nucleus)),
        marked=lesson.marked._replace(spoilt=torch.zeros_like(lesson.marked.spoilt)),
    )
    views = lesson.images.float().div(255).repeat(2, 1, 1, 1)
    told, _ = Heads()(torch.randn(64, 512, generator=torch.Generator().manual_seed(1)))
    parts = losses(lesson, told, views, torch.arange(64) < 32)
    assert [parts[name].item() for name in ("fill", "stain", "ink")] == [0, 0, 0]
    assert all(bool(part.isfinite()) for part in parts.values())
