"""Two threads that bring one package along at a moment both get it whole."""

import importlib
import sys
import threading
from pathlib import Path

import pytest

from core import heavy


def make_package(folder: Path) -> None:
    """As torchvision: the package asks for an inner module of its own, which asks for the package."""
    inner = folder / "slow_vision" / "models"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("import time\ntime.sleep(0.3)\nfrom slow_vision import models\n")
    (inner / "__init__.py").write_text("import time\ntime.sleep(0.1)\nfrom slow_vision.models import resnet\n")
    (inner / "resnet.py").write_text("import slow_vision\n")


def test_whoever_asks_for_an_inner_module_waits_for_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(heavy, "MODULES", ("slow_vision",))
    monkeypatch.setattr(heavy, "_there", threading.Event())
    faults: list[BaseException] = []

    def begin(barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            heavy.load_torch()
            importlib.import_module("slow_vision.models.resnet")
        except BaseException as error:
            faults.append(error)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=begin, args=(barrier,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert not any(thread.is_alive() for thread in threads)
    assert sys.modules["slow_vision"].models.resnet
