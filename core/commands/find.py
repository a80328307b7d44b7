"""`thaw find-rate`: try learning rates, show what the loss did, suggest one."""

import argparse
import dataclasses
import shlex
from typing import TYPE_CHECKING

from core.commands.shared import bring, check_data, check_writable, dataset_id, write_json
from core.commands.train import complete, flags
from core.console import Screen, plain, table
from core.recipe import Recipe
from core.words import say
from core.workspace import open_workspace

if TYPE_CHECKING:
    from core.training.finder import Found

LINES = 12
"""Of the table; the file has every rate."""


def find_rate(args: argparse.Namespace, language: str) -> int:
    """`thaw find-rate`: the recipe as `thaw train` would have it, tried at many rates and left as it was."""
    recipe = flags(args)
    check_writable(args.json)
    workspace = open_workspace(args.workspace)
    check_data(args.data, workspace)
    from core.training import finder

    screen = Screen(language)
    dataset = bring(args.data, workspace, screen)
    recipe = complete(recipe.changed(dataset=dataset_id(dataset)), args, dataset, workspace, screen)
    try:
        found = finder.find_rate(recipe, workspace=workspace, part=args.part, progress=screen.progress("cli.finding"))
    finally:
        screen.close()
    if args.json:
        write_json(args.json, dataclasses.asdict(found))
    for line in _lines(found, recipe, language):
        print(line)
    return 0


def _lines(found: "Found", recipe: Recipe, language: str) -> list[str]:
    """The table thinned out, then what it means."""
    if not found.rates:
        return [say("cli.find.diverged_at_once", language)]
    last = len(found.rates) - 1
    shown = sorted({round(last * place / (LINES - 1)) for place in range(LINES)})
    head = [say(f"cli.find.{key}", language) for key in ("rate", "loss", "smooth")]
    rows = [[f"{found.rates[at]:.1e}", f"{found.losses[at]:.4f}", f"{found.smooth[at]:.4f}"] for at in shown]
    lines = [*table([head, *rows], right=(0, 1, 2)), ""]
    if found.stopped == "diverged":
        lines.append(say("cli.find.diverged", language, rate=f"{found.rates[-1]:.1e}"))
    of = "" if found.part is None else ".part"
    part = plain(shlex.quote(found.part or ""))
    if found.suggestion is None:
        return [*lines, say(f"cli.find.none{of}", language, part=part)]
    rate = f"{found.suggestion:.1e}"
    scale = f"{float(f'{found.suggestion / recipe.lr:.2g}'):g}"  # two digits, 240 and not 2.4e+02
    return [
        *lines,
        say(f"cli.find.suggestion{of}", language, part=part, rate=rate),
        say(f"cli.find.use{of}", language, part=part, rate=rate, scale=scale, lr=f"{recipe.lr:g}"),
    ]
