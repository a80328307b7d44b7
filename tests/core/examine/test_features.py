"""Features are those of the bundled network, kept by the content of the images, and even in their scale."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from core.dataset import Dataset
from core.errors import DataError
from core.examine.features import SIZE, WIDTH, features
from core.workspace import Workspace


def test_features_are_kept_and_of_one_scale(
    listed: Callable[..., Dataset], drawn: Callable[..., Image.Image], workspace: Workspace
) -> None:
    data = listed(10, 10)
    pixels = torch.from_numpy(np.stack([np.asarray(drawn(n)).transpose(2, 0, 1) for n in range(20)]))
    heard: list[int] = []
    found = features(pixels, data.items, workspace, heard.append, lambda: False)
    assert found.shape == (20, WIDTH)
    assert found.mean(dim=0).abs().max() < 1e-4
    assert found.std(dim=0).max() <= 1.0  # a column that hardly changes is not blown up
    assert found.std(dim=0).median() > 0.99
    assert heard == [16, 20]
    again = features(torch.zeros_like(pixels), data.items, workspace, heard.append, lambda: True)
    assert torch.equal(again, found)


def test_it_ends_when_it_is_called_off(listed: Callable[..., Dataset], workspace: Workspace) -> None:
    with pytest.raises(DataError) as caught:
        features(
            torch.zeros(6, 3, SIZE, SIZE, dtype=torch.uint8), listed(3, 3).items, workspace, lambda done: None, lambda: True
        )
    assert caught.value.code == "examine.cancelled"
