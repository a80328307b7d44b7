import pytest
import torch

from core.pretraining.scenes import draw, make_world
from core.pretraining.views import cropped, recolored, views_of

FLAT = torch.rand(64, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 32, 32)
NONE = torch.zeros(64, dtype=torch.bool)


def test_views_share_their_colours_where_they_are_asked_to() -> None:
    apart = {}
    for share in (0.0, 1.0):
        whole, piece = views_of(FLAT, NONE, share, torch.Generator().manual_seed(1)).mean((2, 3)).chunk(2)
        apart[share] = float((whole - piece).abs().max())
    assert apart[1.0] < 0.02 < 0.2 < apart[0.0]


def test_what_is_stained_keeps_its_colours() -> None:
    off = {}
    for stained in (NONE, ~NONE):
        new = recolored(FLAT, stained, torch.Generator().manual_seed(2))
        off[bool(stained[0])] = (new - FLAT).mean((2, 3)).abs().amax(1)
    assert float(off[True].median()) < 0.6 * float(off[False].median())
    assert float(off[True].max()) < 0.25 < float(off[False].max())


def test_a_crop_of_the_whole_area_leaves_an_image_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw(make_world(0), 4, 32, torch.Generator().manual_seed(0)).images.float() / 255
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.ones(*shape))
    monkeypatch.setattr(torch, "exp", lambda x: torch.ones_like(x))
    assert torch.allclose(cropped(images, torch.Generator()), images, atol=1e-4)
