from importlib import metadata

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager

from ui import components


def test_no_other_package_is_asked_for_components(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    components.only_ours()
    monkeypatch.setattr(metadata, "distributions", lambda: asked.append(1) or [])
    BidiComponentManager().discover_and_register_components(start_file_watching=False)
    assert asked == []
