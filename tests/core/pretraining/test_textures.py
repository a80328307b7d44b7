import torch

from core.pretraining.textures import Kinds, fields, make_kinds


def spectra(kinds: Kinds, which: torch.Tensor, seed: int) -> torch.Tensor:
    """Mean power over 16 surfaces of each kind, flat and of length 1."""
    rng = torch.Generator().manual_seed(seed)
    many = which.repeat_interleave(16)
    ones = torch.ones(len(many))
    surfaces = fields(kinds, many, 32, rng, zoom=ones, turn=0 * ones)
    power = torch.fft.rfft2(surfaces - surfaces.mean((1, 2), keepdim=True)).abs()
    mean = power.reshape(len(which), 16, -1).mean(1)
    return torch.nn.functional.normalize(mean, dim=1)


def test_a_kind_is_told_apart_from_others_by_its_spectrum() -> None:
    kinds, which = make_kinds(40, 0), torch.arange(40)
    likeness = spectra(kinds, which, 1) @ spectra(kinds, which, 2).T
    assert float((likeness.argmax(1) == which).float().mean()) > 0.8


def test_a_surface_lies_between_0_and_1_and_follows_from_its_generator() -> None:
    kinds, which, ones = make_kinds(64, 0), torch.arange(64), torch.ones(64)
    first, again, other = (
        fields(kinds, which, 32, torch.Generator().manual_seed(seed), zoom=ones, turn=0 * ones) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (64, 32, 32)
    assert 0 <= float(first.min()) < 0.1
    assert 0.9 < float(first.max()) <= 1
    assert bool((first.flatten(1).std(1) > 0.02).all())


def test_zoom_makes_a_surface_finer() -> None:
    kinds, which, ones = make_kinds(64, 0), torch.arange(64), torch.ones(64)

    def roughness(zoom: float) -> torch.Tensor:
        surface = fields(kinds, which, 64, torch.Generator().manual_seed(1), zoom=zoom * ones, turn=0 * ones)
        return (surface[:, :, 1:] - surface[:, :, :-1]).abs().mean((1, 2)) / surface.flatten(1).std(1)

    assert float((roughness(1.6) > roughness(0.6)).float().mean()) > 0.9
