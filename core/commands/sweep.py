"""`thaw sweep`: the head at a hundred rates at once, the best and the worst of them, and what needs no rate at all."""

import argparse
from typing import TYPE_CHECKING

from core.commands.shared import bring, check_data, check_writable, dataset_id, write_json
from core.commands.train import complete, flags
from core.console import Screen, duration, percent, table
from core.errors import RecipeError
from core.words import say
from core.workspace import open_workspace

if TYPE_CHECKING:
    from core.training.rates import RateSweep, Try

BEST = 5
"""Rows of the table."""


def sweep(args: argparse.Namespace, language: str) -> int:
    """`thaw sweep`: the recipe as `thaw train` would have it, at many rates and decays."""
    recipe = flags(args)
    for name, value, allowed in [
        ("rates", args.rates, "2, 3, 4, …"),
        *(("decays", one, "≥ 0") for one in args.decays or []),
    ]:
        if value < (2 if name == "rates" else 0) or value != value or value == float("inf"):
            raise RecipeError("recipe.invalid", field=f"--{name}", value=f"{value:g}", allowed=allowed)
    check_writable(args.json)
    workspace = open_workspace(args.workspace)
    check_data(args.data, workspace)
    from core.training.rates import sweep_rates

    screen = Screen(language)
    dataset = bring(args.data, workspace, screen)
    recipe = complete(recipe.changed(dataset=dataset_id(dataset)), args, dataset, workspace, screen)
    try:
        found = sweep_rates(
            recipe, workspace=workspace, rates=args.rates, decays=args.decays, progress=screen.progress("cli.sweeping")
        )
    finally:
        screen.close()
    if args.json:
        write_json(args.json, found.to_dict())
    for line in _lines(found, recipe.weight_decay, language):
        print(line)
    return 0


def _lines(found: "RateSweep", decay: float, language: str) -> list[str]:
    """The best five, the worst that learned, what the formula says, what it took."""
    ranked = [found.tries[at] for at in found.ranked]
    learned = [one for one in ranked if (one.accuracy or 0.0) > found.majority]
    gone = [one for one in found.tries if one.diverged]
    majority = percent(found.majority)
    lines = []
    if not ranked:
        lines.append(say("cli.sweep.all_diverged", language))
    elif not learned:
        lines.append(say("cli.sweep.none_learned", language, share=majority))
    else:
        lines += [say("cli.sweep.best", language, heads=len(found.tries), n=found.val_images)]
        lines += _table(learned[:BEST], language)
        if len(learned) > BEST:
            lines += ["", say("cli.sweep.worst", language, share=majority), *_table(learned[-1:], language)]
    if ranked and gone:
        heads = len(found.tries)
        lines.append(say("cli.sweep.diverged", language, n=heads, gone=len(gone), rate=f"{gone[0].rate:g}"))
    lines.append("")
    if found.ridge is not None:
        lines.append(say("cli.sweep.ridge", language, val=percent(found.ridge), left_out=percent(found.ridge_left_out)))
    taken, ready = duration(found.seconds, language), duration(found.ready_seconds, language)
    lines.append(say("cli.sweep.seconds", language, n=len(found.tries), epochs=found.epochs, time=taken, ready=ready))
    if found.apart:
        lines.append(say("cli.sweep.apart", language, fields=", ".join(found.apart)))
    if learned:
        key = "cli.sweep.use" if learned[0].decay == decay else "cli.sweep.use.decay"
        lines.append(say(key, language, rate=f"{learned[0].rate:g}", decay=f"{learned[0].decay:g}"))
    return lines


def _table(tries: "list[Try]", language: str) -> list[str]:
    names = ("rate", "decay", "accuracy", "loss", "epoch", "train_loss")
    head = [say(f"cli.sweep.{name}", language) for name in names]
    rows = [
        [
            f"{one.rate:g}",
            f"{one.decay:g}",
            percent(one.accuracy),
            f"{one.loss:.4f}",
            str(one.epoch),
            f"{one.train_loss:.4f}",
        ]
        for one in tries
    ]
    return [f"  {line}" for line in table([head, *rows], right=range(len(names)))]
