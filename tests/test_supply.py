"""What Thaw is built from is pinned to the byte, its licences are known, and an audit that could not audit fails."""

import json
import os
import re
import stat
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import supply

ROOT = Path(__file__).resolve().parent.parent
TEXT = supply.REQUIREMENTS.read_text("utf-8")
PACKAGES = supply.pinned(TEXT)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ASKED = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]


def test_every_package_is_pinned_with_hashes_and_no_host_is_named() -> None:
    assert [one.name for one in PACKAGES if not one.hashes] == []
    assert len({one.name for one in PACKAGES}) == len(PACKAGES) > 60
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert [line for line in lines if re.search(r"://|@|--(extra-)?index|--find|--trusted|--editable", line)] == []
    assert not re.search(r"https?:|\w+\.(org|com|io|net|dev)\b", TEXT)


def test_the_lock_agrees_with_the_project_to_the_package() -> None:
    pins = [*ASKED, *PROJECT["tool"]["uv"]["constraint-dependencies"]]
    wanted = {canonicalize_name(pin.split("==")[0]): pin.split("==")[1] for pin in pins}
    locked = {one.name: one.version for one in PACKAGES}
    assert {name: locked.get(name) for name in wanted} == wanted


def test_what_is_locked_is_needed_and_what_is_needed_is_locked() -> None:
    todo, needed = [*map(Requirement, ASKED)], set[tuple[str, frozenset[str]]]()
    while todo:
        one = todo.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) not in needed:
            needed.add((name, extras))
            with suppress(PackageNotFoundError):
                more = [*map(Requirement, requires(name) or ())]
                todo += [
                    new for new in more if not new.marker or any(new.marker.evaluate({"extra": e}) for e in {"", *extras})
                ]
    names = {name for name, _ in needed}
    assert names <= {one.name for one in PACKAGES}, "made anew by the command at the head of requirements.txt"
    assert {one.name for one in PACKAGES if not one.marker} <= names, "nothing needs these any more"


def test_a_line_that_is_no_pin_with_hashes_is_refused() -> None:
    for line in ("evil", "evil>=1", "evil @ file:///x", "-e .", "--index x", "evil==1"):
        with pytest.raises(ValueError, match="not a pin with hashes"):
            supply.pinned(line)


def test_the_list_of_licences_is_current_and_holds_no_copyleft() -> None:
    listed = dict(
        re.findall(r"^\| \**([a-z0-9.-]+)\** \| \S+ \| ([^|]+) \|$", supply.LICENCES.read_text("utf-8"), re.MULTILINE)
    )
    versions = dict(re.findall(r"^\| \**([a-z0-9.-]+)\** \| (\S+) \|", supply.LICENCES.read_text("utf-8"), re.MULTILINE))
    assert versions == {"package": "version", **{one.name: one.version for one in PACKAGES}}
    for one in PACKAGES:
        said = supply.licence(one.name)
        assert listed[one.name] not in {"?", supply.ELSEWHERE}
        assert said in {listed[one.name], supply.ELSEWHERE}, f"{one.name}: python -m benchmarks.supply licences"
        assert not re.search(r"\b(A|L)?GPL", listed[one.name]), one.name


def test_the_sbom_names_every_package_once_and_is_the_same_each_time() -> None:
    made = supply.sbom(PACKAGES)
    assert made == supply.sbom(PACKAGES)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    refs = [component["bom-ref"] for component in made["components"]]
    assert len(set(refs)) == len(refs) == len(PACKAGES)
    assert "pkg:pypi/torch@" in " ".join(refs)
    assert json.loads(json.dumps(made)) == made


def tool(folder: Path, answer: object, status: int = 0) -> list[str]:
    """A pretended auditor."""
    file = folder / "auditor"
    file.write_text(f"#!/bin/sh\ncat <<'E'\n{answer if isinstance(answer, str) else json.dumps(answer)}\nE\nexit {status}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return [str(file)]


def looked_up(**changed: object) -> dict[str, object]:
    return {
        "dependencies": [
            {"name": one.name, "version": one.version, "vulns": []} | changed.get(one.name, {}) for one in PACKAGES
        ]
    }  # type: ignore[operator]


@pytest.mark.skipif(os.name == "nt", reason="the pretended auditor is a shell script")
def test_an_audit_passes_only_if_every_package_was_looked_up_and_none_has_a_fault(tmp_path: Path) -> None:
    good, words = supply.audit(PACKAGES, tool(tmp_path, looked_up()))
    assert good, words
    for answer, status, said in (
        (looked_up(torch={"vulns": [{"id": "CVE-1"}]}), 1, "VULNERABLE"),
        (looked_up(numpy={"skip_reason": "not found"}), 0, "skipped ['numpy']"),
        ({"dependencies": []}, 0, "NOT AUDITED"),
        (looked_up(), 1, "NOT AUDITED: status 1"),
        ("No known vulnerabilities found", 0, "NOT AUDITED"),
        ("", 1, "NOT AUDITED"),
    ):
        good, words = supply.audit(PACKAGES, tool(tmp_path, answer, status))
        assert not good
        assert said in words
    good, words = supply.audit(PACKAGES, [str(tmp_path / "gone")])
    assert (good, "is not installed" in words) == (False, True)
