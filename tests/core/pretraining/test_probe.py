import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.pretraining.probe import accuracy, features, stacked


def test_features_that_tell_classes_apart_are_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    noise = rng.normal(size=(400, 64)).astype(np.float32)
    told = noise + 8 * np.eye(64, dtype=np.float32)[labels]
    assert accuracy(told, labels, each=10, seeds=range(3)).min() > 0.85
    assert abs(accuracy(noise, labels, each=10, seeds=range(5)).mean() - 0.25) < 0.06


def test_a_class_counts_the_same_however_rare_it_is() -> None:
    labels = np.array([0] * 200 + [1] * 12)
    blind = np.zeros((212, 8), np.float32)
    blind[:, 0] = np.arange(212) % 7
    assert accuracy(blind, labels, each=5, seeds=range(4)).mean() == pytest.approx(0.5, abs=0.2)


def test_a_task_is_decoded_as_training_would_and_its_features_are_those_of_the_network(real_data: Path) -> None:
    with ZipFile(real_data / "sign-digits.zip") as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".jpg")][:3]
        task = stacked("signs", ((archive.read(name), at) for at, name in enumerate(names)), 32)
        whole = np.asarray(Image.open(io.BytesIO(archive.read(names[0]))).convert("RGB"))
    assert tuple(task.pixels.shape) == (3, 3, 32, 32)
    assert task.labels.tolist() == [0, 1, 2]
    assert abs(float(task.pixels[0].float().mean()) - whole.mean()) < 6
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = features(network, task.pixels)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    truth = (task.pixels.float().mean((2, 3)) / 255 - mean) / std
    assert np.allclose(found, truth.numpy(), atol=1e-4)
