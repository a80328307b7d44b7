"""The floor plan holds: nothing imports upwards, core knows no Streamlit, ui knows no torch."""

import ast
import json
import string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "words": 0,
    "errors": 1,
    "workspace": 2,
    "recipe": 2,
    "events": 3,
    "locks": 2,
    "durable": 2,
    "log": 2,
    "container": 1,
    "threads": 2,
    "heavy": 2,
    "eager": 1,
    "arrays": 4,
    "cut": 5,
    "digest": 4,
    "layers": 3,
    "run": 3,
    "steps": 4,
    "pins": 4,
    "recovery": 5,
    "boots": 3,
    "torchfile": 2,
    "sandbox": 2,
    "allocator": 2,
    "backup": 7,
    "rescue": 4,
    "room": 7,
    "vitals": 8,
    "slot": 3,
    "process": 2,
    "database": 3,
    "fair": 2,
    "gate": 5,
    "curve": 5,
    "readings": 5,
    "schedule": 5,
    "timeline": 5,
    "schema": 4,
    "table": 5,
    "turns": 5,
    "store": 6,
    "views": 7,
    "history": 6,
    "narrator": 7,
    "plan": 4,
    "strategies": 4,
    "seeding": 4,
    "images": 4,
    "dataset": 5,
    "backbones": 5,
    "checkpoint": 5,
    "device": 5,
    "heads": 5,
    "estimate": 6,
    "pace": 7,
    "examine": 6,
    "evaluation": 4,
    "optim": 5,
    "augment": 5,
    "tasks": 5,
    "model": 6,
    "training": 7,
    "export": 7,
    "drive": 8,
    "report": 8,
    "doctor": 8,
    "console": 9,
    "engine": 9,
    "pretraining": 6,
    "commands": 10,
    "cli": 11,
}


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "core" and len(parts) > 1 and parts[1] in FLOORS else None


CORE = sorted((ROOT / "core").rglob("*.py"))
UI = sorted((ROOT / "ui").rglob("*.py"))


@pytest.mark.parametrize("file", CORE, ids=lambda f: str(f.relative_to(ROOT)))
def test_core_imports_only_from_lower_floors_and_never_the_pages(file: Path) -> None:
    own = file.relative_to(ROOT / "core").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in FLOORS, f"{own} has no floor yet: say where it stands"
    for module in imports(file):
        assert module.split(".")[0] not in {"streamlit", "ui"} or own == "cli", f"{file.name} imports {module}"
        assert not module.startswith("streamlit"), f"{file.name} imports {module}"
        other = room(module)
        if other and other != own:
            assert FLOORS[other] < FLOORS[own], f"{own} (floor {FLOORS[own]}) imports {other} (floor {FLOORS[other]})"


@pytest.mark.parametrize("file", UI, ids=lambda f: str(f.relative_to(ROOT)))
def test_pages_never_import_torch(file: Path) -> None:
    assert not [module for module in imports(file) if module.split(".")[0] in {"torch", "torchvision"}]


def test_torchvision_comes_from_the_one_module_that_imports_it_without_a_compiler() -> None:
    eager = ROOT / "core" / "eager.py"
    assert "torchvision" in imports(eager)
    for file in CORE + UI:
        assert file == eager or not [module for module in imports(file) if module.split(".")[0] == "torchvision"], file


RUNNING = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
"""Who reads with these runs what it reads."""
NEVER = {"extractall", "cache_resource", "load_state_dict_from_url"}
WALL = {
    "core/commands/shared.py", "core/dataset/edits.py", "core/dataset/importing.py", "core/dataset/publishing.py",
    "core/gate/accounts.py", "core/gate/audit.py", "core/log.py", "core/recovery.py", "core/rescue.py", "core/run.py",
    "core/table.py", "ui/text.py", "ui/uploads.py",
}  # fmt: skip
"""Those who say when something was, or how old a file is. Order and durations never come from the clock on the wall."""


def trusting(node: ast.AST) -> str:
    """What is wrong with a line that runs or trusts what it reads; '' if nothing is."""
    match node:
        case ast.Import(names=found) if RUNNING & {name.name.split(".")[0] for name in found}:
            return "pickle runs what it reads"
        case ast.ImportFrom(module=str(module), names=found) if module.split(".")[0] in RUNNING:
            return "" if [name.name for name in found] == ["UnpicklingError"] else "pickle runs what it reads"
        case ast.Call(func=func, keywords=words):
            name, said = ast.unparse(func), {word.arg: ast.unparse(word.value) for word in words}
            if name.rsplit(".", 1)[-1] in NEVER or said.get("shell", "False") != "False" or "unsafe_allow_html" in said:
                return f"{name} is never called like that"
            if name.startswith("torch.") and name.endswith(".load") and said.get("weights_only") != "True":
                return "torch.load without a plain weights_only=True"
            if name.endswith("Image.open") and "formats" not in said:
                return "Image.open tries every decoder unless it is told formats="
    return ""


def test_nothing_runs_or_trusts_what_it_reads_and_few_look_at_the_clock_on_the_wall() -> None:
    for file in CORE + UI:
        path = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            assert not trusting(node), f"{path}:{node.lineno}: {trusting(node)}"
            if isinstance(node, ast.Call) and path not in WALL:
                assert ast.unparse(node.func) not in {"time.time", "time.time_ns", "datetime.now"}, f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from pickle import loads", "torch.load(f)", "torch.load(f, weights_only=safe)", "Image.open(f)",
     "archive.extractall(to)", "st.markdown(x, unsafe_allow_html=True)", "run(x, shell=True)", "st.cache_resource(open)"],
)  # fmt: skip
def test_such_lines_are_found(line: str) -> None:
    assert any(map(trusting, ast.walk(ast.parse(line))))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    from core.words import catalogue

    english, chinese = catalogue("en"), catalogue("zh")
    assert {k for k in english if not k.endswith(".one")} == {k for k in chinese if not k.endswith(".one")}
    for key, text in english.items():
        if key in chinese:
            assert placeholders(text) == placeholders(chinese[key]), key


def test_every_error_has_a_cause_and_a_remedy() -> None:
    for language in ("en", "zh"):
        keys: set[str] = set()
        for file in (ROOT / "assets" / "locales" / language).glob("*.json"):
            keys |= set(json.loads(file.read_text("utf-8")))
        for key in keys:
            if key.startswith("error.") and key.endswith(".cause"):
                assert key.removesuffix(".cause") + ".remedy" in keys, key


def error_codes(file: Path) -> set[str]:
    """Codes of `SomethingError("code", …)` calls."""
    codes: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            known = {"ThawError", "DataError", "RecipeError", "WeightsError", "StoreError", "CheckpointError", "AccessError"}
            if name in known | {"TrainingError", "ExportError"} and isinstance(first, ast.Constant):
                codes.add(str(first.value))
    return codes


@pytest.mark.parametrize("file", CORE + UI, ids=lambda f: str(f.relative_to(ROOT)))
def test_every_error_raised_has_its_words(file: Path) -> None:
    from core.words import catalogue

    for code in error_codes(file):
        for language in ("en", "zh"):
            assert {f"error.{code}.cause", f"error.{code}.remedy"} <= catalogue(language).keys(), (code, language)
