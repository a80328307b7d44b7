"""`thaw runs` and `thaw doctor`: what is there."""

import argparse
import dataclasses
import json
import sys
from typing import Any

from core.commands.shared import opened
from core.console import duration, percent, plain, table
from core.recipe import Recipe
from core.store import Run
from core.words import say
from core.workspace import open_workspace


def runs(args: argparse.Namespace, language: str) -> int:
    """`thaw runs`: every run, newest first."""
    with opened(args) as store:
        found = store.runs()
        if args.json:
            print(json.dumps([_plain_run(run) for run in found], ensure_ascii=False, indent=1))
            return 0
        if not found:
            print(say("cli.no_runs", language))
            return 0
        keys = ("run", "name", "state", "epochs", "val", "test", "took", "created")
        rows = [
            [
                run.id,
                run.name,
                say(f"state.{run.state}", language),
                f"{run.epoch}/{run.recipe.epochs}",
                percent(run.best_val_accuracy),
                percent(run.test_accuracy),
                duration(run.seconds, language) if run.started else "–",
                run.created[:16].replace("T", " "),
            ]
            for run in found
        ]
        print(*table([[say(f"cli.table.{key}", language) for key in keys], *rows], right=(3, 4, 5, 6)), sep="\n")
        return 0


def _plain_run(run: Run) -> dict[str, Any]:
    values = dataclasses.asdict(dataclasses.replace(run, recipe=Recipe()))
    values = {"run": values.pop("id"), **values, "recipe": run.recipe.model_dump(mode="json")}
    del values["deleted"], values["boot"], values["owner"]
    return values


def doctor(args: argparse.Namespace, language: str) -> int:
    """`thaw doctor`: versions, devices, workspace, offline weights; status 1 if something is broken."""
    from core.doctor import examine

    found = examine(open_workspace(args.workspace))
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 1 if found["problems"] else 0
    home = found["workspace"]
    rows = [
        ["Python", f"{found['python']} ({found['platform']})"],
        *([name, number or say("cli.doctor.missing", language)] for name, number in found["packages"].items()),
        ["SQLite", found["sqlite"]],
        [say("cli.doctor.cores", language), f"{found['cores']}, {found['memory_bytes'] / 2**30:.1f} GiB"],
        [say("cli.doctor.devices", language), ", ".join(found["devices"]) or "–"],
        [say("cli.doctor.workspace", language), home["path"]],
        [say("cli.doctor.free", language), f"{home['free_bytes'] / 2**30:.1f} GiB"],
        [say("cli.doctor.contents", language), f"{home.get('runs', '–')} / {home.get('datasets', '–')}"],
        [say("cli.doctor.weights", language), ", ".join(found["offline_weights"]) or say("cli.doctor.none", language)],
    ]
    print(*table(rows), sep="\n")
    for problem in found["problems"]:
        print(plain(problem), file=sys.stderr)
    return 1 if found["problems"] else 0
