"""torch and torchvision without torch's compiler, which Thaw never uses: from here both are imported.

`import torchvision` and the first step of any optimizer bring `torch._dynamo` along, with sympy behind it: two seconds and
80 MB for each process, only to tell a compiler that it shall look away. Until somebody asks for more, two stand-ins say so.
"""

import importlib
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

NAME, UTILS = "torch._dynamo", "torch._dynamo.utils"

_alone = threading.Lock()


class _Later(ModuleType):
    """Stands for the module `name` and knows `known`; asked for anything else it makes way for the real one, for good."""

    def __init__(self, name: str, **known: object) -> None:
        super().__init__(name, self.__doc__)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and (name, self.__name__) != ("__path__", NAME):  # imports and `inspect` ask every module
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _real(name: str) -> ModuleType:
    with _alone:  # and not while importing: imports have locks of their own
        for stand_in in (NAME, UTILS):
            if isinstance(sys.modules.get(stand_in), _Later):
                del sys.modules[stand_in]
        if isinstance(vars(torch).get("_dynamo"), _Later):
            del torch._dynamo
    return importlib.import_module(name)


def _graph_break(msg: str = "") -> None:
    """Nothing is traced, so there is nothing to break."""


def _disable(fn: Callable[..., Any], recursive: bool = True, **_: object) -> Callable[..., Any]:
    """Nothing is traced, so a function is as it is."""
    return fn


def _is_compile_supported(device: str) -> Any:
    """Asked by an operation of torchvision's when it runs; by none of ours."""
    return _real(UTILS).is_compile_supported(device)


def _put_off() -> None:
    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = _Later(NAME, graph_break=_graph_break, disable=_disable)
        sys.modules[UTILS] = _Later(UTILS, is_compile_supported=_is_compile_supported)


_put_off()

import torchvision  # noqa: E402  it takes a name out of the second one
import torchvision.models.resnet  # noqa: E402
import torchvision.models.vision_transformer  # noqa: E402

__all__ = ["torch", "torchvision"]
