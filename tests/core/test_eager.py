"""Training needs no compiler and loads none; whoever asks for one finds the real one, and the numbers are the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

STEPS = """
import json, sys
import torch
KINDS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}

def steps(kind):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = KINDS[kind](model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    KINDS[kind](model.parameters(), lr=0.1).load_state_dict(optimizer.state_dict())
    return [float(number).hex() for parameter in model.parameters() for number in parameter.flatten()]

def all_steps():
    return {kind: steps(kind) for kind in KINDS}

def loaded():
    return "torch._dynamo.eval_frame" in sys.modules
"""
TRAIN = """
from pathlib import Path
import numpy as np
from PIL import Image
from core.dataset import import_dataset
from core.recipe import Recipe
from core.training import train
from core.workspace import open_workspace

home = Path(sys.argv[1])
for number in range(24):
    place = home / "set" / "ab"[number % 2] / f"{number}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)).save(place)
workspace = open_workspace(home / "w")
recipe = Recipe(dataset=import_dataset(home / "set", workspace).id, backbone="thaw-small", image_size=32, epochs=1, ema=0.9)
*_, ended = train(recipe, workspace=workspace, folder=home / "run")
before = all_steps(), loaded()
compiled = torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item()
from torch._dynamo.utils import counters
from core.eager import torchvision
supported = torchvision.ops.roi_align.__globals__["is_compile_supported"]("cpu")
print(json.dumps([ended.outcome, *before, compiled, counters["frames"]["ok"], supported, all_steps(), loaded()]))
"""


def told(code: str, *arguments: str | Path) -> Any:
    """What a process of its own prints as JSON in its last line."""
    command = [sys.executable, "-c", STEPS + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_training_needs_no_compiler_and_whoever_asks_for_one_gets_it(tmp_path: Path) -> None:
    trained, before, none, compiled, counted, supported, after, real = told(TRAIN, tmp_path)
    assert trained == "finished"
    assert none is False, "neither training nor steps bring it along"
    assert (compiled, counted, supported, real) == (2.0, 1, True, True)
    plain, by_itself = told("print(json.dumps([all_steps(), loaded()]))")
    assert by_itself, "else there is nothing to put off any more"
    assert before == after == plain, "to the bit"
