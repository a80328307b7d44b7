"""Supply chain: what Thaw is built from. Licences listed, an SBOM, and an audit that fails when it could not audit.

    python -m benchmarks.supply licences           # writes assets/licences.md from what is installed
    python -m benchmarks.supply sbom OUT.json      # CycloneDX 1.6 of the hash-pinned requirements
    python -m benchmarks.supply audit              # status 0 only if every package was looked up and none has a fault

Everything follows from requirements.txt and the metadata of installed packages; only `audit` asks a vulnerability service.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements.txt"
LICENCES = ROOT / "assets" / "licences.md"
CLASSIFIERS = {
    "BSD License": "BSD", "MIT License": "MIT", "Apache Software License": "Apache-2.0", "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "MIT No Attribution License (MIT-0)": "MIT-0", "Historical Permission Notice and Disclaimer (HPND)": "HPND",
}  # fmt: skip
"""What trove calls a licence, where a package names none by its SPDX expression."""
STARTS = {
    "BSD 3-Clause": "BSD-3-Clause",
    "3-Clause BSD": "BSD-3-Clause",
    "3-clause BSD": "BSD-3-Clause",
    "BSD-3": "BSD-3-Clause",
    "MIT": "MIT",
    "Apache": "Apache-2.0",
    "NVIDIA Proprietary": "LicenseRef-NVIDIA-Proprietary",
    "BSD": "BSD",
    "PSF": "PSF-2.0",
    "Dual": "Apache-2.0 OR BSD-3-Clause",
}
"""How a licence's text or free words begin."""
ELSEWHERE = "not installed on this kind of machine"
NOT_SAID = {"colorama": "BSD-3-Clause", "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
"""Of the first only Windows takes a copy; the second only names NVIDIA's other packages and says nothing itself."""


@dataclass(frozen=True)
class Pinned:
    """One package of requirements.txt."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pinned(text: str) -> list[Pinned]:
    """The packages in `text`. Raises ValueError for a line that is neither a comment, a pin nor a hash."""
    found: list[Pinned] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if start := re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([^\s;\\]+)(?: ; ([^\\]*?))? \\", line):
            found.append(Pinned(start[1], start[2], (start[3] or "").strip(), ()))
        elif (given := re.fullmatch(r" +--hash=sha256:([0-9a-f]{64})(?: \\)?", line)) and found:
            last = found[-1]
            found[-1] = Pinned(last.name, last.version, last.marker, (*last.hashes, given[1]))
        else:
            raise ValueError(f"not a pin with hashes: {line[:100]!r}")
    return found


def licence(name: str) -> str:
    """SPDX expression of an installed package as its maker says; `ELSEWHERE` if it is not installed, '?' if none is said."""
    if name in NOT_SAID:
        return NOT_SAID[name]
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ELSEWHERE
    if expression := about.get("License-Expression"):
        return str(expression)
    classes = [entry.rsplit(" :: ", 1)[-1] for entry in about.get_all("Classifier") or () if entry.startswith("License ::")]
    if known := [CLASSIFIERS[entry] for entry in classes if entry in CLASSIFIERS]:
        return " AND ".join(sorted(set(known)))
    words = str(about.get("License") or "").strip()
    return next(
        (spdx for start, spdx in STARTS.items() if words.startswith(start)), words.splitlines()[0][:60] if words else "?"
    )


def licences(packages: list[Pinned], now: str = "") -> str:
    """The list as Markdown. Of what is not installed here `now`, the list as it is, keeps the word."""
    before = dict(re.findall(r"^\| (\S+) \| \S+ \| ([^|]+) \|$", now, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    direct = {re.split(r"[=\[]", pin)[0] for pin in project["project"]["dependencies"]}
    lines = [
        "# Licences of what Thaw uses",
        "",
        "Thaw itself: Apache-2.0. Each package as its maker states it; made by `python -m benchmarks.supply licences`.",
        "Packages in bold are named in pyproject.toml, the others come with them or with the tools of development.",
        "",
        "| package | version | licence |",
        "|---|---|---|",
    ]
    for one in packages:
        said = licence(one.name)
        if said == ELSEWHERE and one.name in before:
            said = before[one.name]
        name = f"**{one.name}**" if one.name in direct else one.name
        lines.append(f"| {name} | {one.version} | {said.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def sbom(packages: list[Pinned]) -> dict[str, Any]:
    """CycloneDX 1.6 of all packages, equal for equal requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    seed = "".join(f"{one.name}=={one.version}\n" for one in packages)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, seed)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/{project['name']}@{project['version']}",
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{one.name}@{one.version}",
                "name": one.name,
                "version": one.version,
                "purl": f"pkg:pypi/{one.name}@{one.version}",
                "licenses": [{"license": {"name": licence(one.name)}}],
                "properties": [{"name": "thaw:sha256", "value": digest} for digest in one.hashes]
                + ([{"name": "thaw:marker", "value": one.marker}] if one.marker else []),
            }
            for one in packages
        ],
    }


def audit(packages: list[Pinned], tool: list[str]) -> tuple[bool, str]:
    """Whether every package was looked up and none has a known fault; and what to say. Anything unclear is a failure."""
    if not shutil.which(tool[0]):
        return False, f"NOT AUDITED: {tool[0]} is not installed (uv tool install pip-audit)"
    command = [
        *tool,
        "--strict",
        "--require-hashes",
        "--disable-pip",
        "--requirement",
        str(REQUIREMENTS),
        "--format",
        "json",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"NOT AUDITED: {error}"
    try:
        said = json.loads(done.stdout)["dependencies"]
        audited = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one for one in said}
    except (ValueError, KeyError, TypeError):
        return False, f"NOT AUDITED: {(done.stderr or done.stdout).strip()[-600:]}"
    here = {one.name for one in packages if not one.marker}
    skipped = sorted(name for name, one in audited.items() if "skip_reason" in one or "vulns" not in one)
    missing = sorted(here - audited.keys())
    if skipped or missing:
        return False, f"NOT AUDITED: skipped {skipped or 'none'}, missing {missing or 'none'}"
    faults = [f"{name} {one['version']}: {fault['id']}" for name, one in audited.items() for fault in one["vulns"]]
    if faults:
        return False, "VULNERABLE:\n" + "\n".join(faults)
    if done.returncode:
        return False, f"NOT AUDITED: status {done.returncode}: {done.stderr.strip()[-600:]}"
    return True, f"{len(audited)} packages were looked up; none has a known fault."


def main() -> int:
    """Gives the exit status."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.supply", description=(__doc__ or "").splitlines()[0])
    kinds = asked.add_subparsers(dest="kind", required=True)
    kinds.add_parser("licences")
    kinds.add_parser("sbom").add_argument("out", type=Path)
    kinds.add_parser("audit").add_argument("--tool", default="pip-audit", help="the command that audits")
    args = asked.parse_args()
    packages = pinned(REQUIREMENTS.read_text("utf-8"))
    if args.kind == "licences":
        LICENCES.write_text(licences(packages, LICENCES.read_text("utf-8") if LICENCES.exists() else ""), "utf-8")
        print(f"{LICENCES.relative_to(ROOT)}: {len(packages)} packages")
        return 0
    if args.kind == "sbom":
        args.out.write_text(json.dumps(sbom(packages), indent=1) + "\n", "utf-8")
        print(f"{args.out}: {len(packages)} components")
        return 0
    good, words = audit(packages, args.tool.split())
    print(words, file=sys.stdout if good else sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
