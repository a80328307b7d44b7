"""`thaw examine`: look for wrong classes, copies and poor images in a data set, and say which."""

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.commands.shared import bring, check_data, check_writable, dataset_id, workspace_flag, write_json
from core.console import Screen, percent, plain
from core.dataset.summary import TINY
from core.words import say
from core.workspace import open_workspace

if TYPE_CHECKING:
    from core.dataset import Dataset
    from core.examine import Examination, Finding

LINES = 10
"""Findings of a kind that are written out; the file has all."""


def examine(args: argparse.Namespace, language: str) -> int:
    """`thaw examine`: what is found, as sentences, and with `--json` as a file. Findings are no failure: status 0."""
    from core.examine import examine as look

    check_writable(args.json)
    workspace = open_workspace(args.workspace)
    check_data(args.data, workspace)
    screen = Screen(language)
    dataset = bring(args.data, workspace, screen)
    try:
        found = look(dataset, workspace, progress=screen.progress("cli.examining"))
    finally:
        screen.close()
    if args.json:
        write_json(args.json, _document(found, dataset))
    n = len(dataset.items)
    print(say("cli.examine.head", language, name=plain(dataset.name), n=n, version=dataset.version))
    if not found.findings:
        print(say("cli.examine.clean", language, n=n))
        return 0
    for line in _lines(found, dataset, language):
        print(line)
    print("", say("cli.examine.decide", language, command=f"thaw ui {workspace_flag(workspace)}".strip()), sep="\n")
    return 0


def _lines(found: "Examination", dataset: "Dataset", language: str) -> Iterator[str]:
    for kind, many in found.counts.items():
        yield ""
        yield say(f"examine.count.{kind}", language, n=many, total=len(dataset.items))
        yield say(f"examine.why.{kind}", language, limit=TINY)
        for finding in [one for one in found.findings if one.kind == kind][:LINES]:
            yield f"  {_line(finding, dataset, language)}"
        if many > LINES:
            yield f"  {say('cli.examine.more', language, n=many - LINES)}"


def _line(finding: "Finding", dataset: "Dataset", language: str) -> str:
    if finding.kind == "imbalance":
        n, ratio = dataset.counts()[finding.label], f"{finding.number:.3g}"
        return say("examine.rare", language, n=n, label=plain(finding.label), ratio=ratio)
    known = {item.sha256: item for item in dataset.items if item.sha256 in finding.images}
    images = [known[sha] for sha in finding.images]
    if finding.kind == "label":
        name, label = plain(images[0].name), plain(dataset.classes[images[0].label])
        values = {"suggested": plain(finding.label), "sure": percent(finding.number)}
        return say("cli.examine.line.label", language, name=name, label=label, **values)
    said = [(plain(item.name), plain(dataset.classes[item.label])) for item in images]
    return " = ".join([say("cli.examine.line.one", language, name=name, label=label) for name, label in said])


def _document(found: "Examination", dataset: "Dataset") -> dict[str, object]:
    """As `Examination`, each image with its name and class."""
    known = {item.sha256: item for item in dataset.items}
    findings = [
        {
            **dataclasses.asdict(finding),
            "images": [
                {"sha256": sha, "name": known[sha].name, "label": dataset.classes[known[sha].label]}
                for sha in finding.images
            ],
        }
        for finding in found.findings
    ]
    return {**found.to_dict(), "dataset": dataset_id(dataset), "counts": found.counts, "findings": findings}
