"""The door to data sets: light to open, and every code that it may speak has its words."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core import dataset
from core.words import LANGUAGES, catalogue

CORE = Path(dataset.__file__).parent.parent
FILES = [CORE / "images.py", *sorted((CORE / "dataset").glob("*.py"))]


def test_the_door_opens_without_torch_scikit_learn_or_pandas() -> None:
    code = (
        "import sys, core.dataset; print(*sorted({'torch', 'torchvision', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CORE.parent)
    assert done.stdout.strip() == ""


def test_all_that_is_announced_is_there() -> None:
    assert sorted(dataset.__all__) == dataset.__all__
    assert all(hasattr(dataset, name) for name in dataset.__all__)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_code_has_words_in_every_language(file: Path) -> None:
    texts = [node.value for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Constant)]
    codes = {text for text in texts if isinstance(text, str) and re.fullmatch(r"(data|image|dataset)\.[a-z0-9_]+", text)}
    for language in LANGUAGES:
        known = catalogue(language)
        assert not {code for code in codes if f"error.{code}.cause" not in known and f"notice.{code}" not in known}


def test_every_note_of_a_picture_has_words() -> None:
    notes = {"rotated", "shrunk", "first_frame", "sixteen_bit", "deep", "cmyk", "transparent"}
    assert set(re.findall(r'append\("(\w+)"\)', (CORE / "images.py").read_text("utf-8"))) <= notes
    for language in LANGUAGES:
        assert {f"notice.data.{note}" for note in notes} <= catalogue(language).keys()
