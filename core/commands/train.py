"""`thaw train` and `thaw resume`: carry a run out in this process, show how it goes, say how it went."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from core.commands.shared import (
    bring,
    check_data,
    check_writable,
    dataset_id,
    find,
    opened,
    start_up,
    workspace_flag,
    write_json,
)
from core.console import Screen, duration, percent, plain, reasons, score_lines, sentences
from core.drive import drive, take_slot
from core.errors import RecipeError, StoreError
from core.events import Command, Interrupt
from core.export import MODEL_FILE
from core.recipe import Recipe, augment_preset, parse
from core.report import report
from core.store import ACTIVE, Run, RunStore
from core.words import say
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.dataset import Dataset

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""
RECIPE_FLAGS = ("backbone", "weights", "epochs", "batch_size", "lr", "image_size", "seed", "device", "name")


def train(args: argparse.Namespace, language: str) -> int:
    """`thaw train`: open the data, write the recipe, run it here."""
    with opened(args) as store:
        recipe = flags(args)
        check_writable(args.report)
        check_data(args.data, store.workspace)
        screen = Screen(language)
        startup = start_up()
        _check(recipe, store.workspace)
        take_slot(store, recipe.device).release()  # before all data is read
        begin = time.perf_counter()
        dataset = bring(args.data, store.workspace, screen)
        recipe = complete(recipe.changed(dataset=dataset_id(dataset)), args, dataset, store.workspace, screen)
        run = store.create(recipe)
        screen.line(
            "cli.begin", run=run.name, id=run.id, dataset=dataset.name, n=len(dataset.items), classes=len(dataset.classes)
        )
        if dataset.skipped:
            screen.line("cli.skipped", n=len(dataset.skipped))
            for line in reasons(dataset.skipped, language):
                screen.text(line)
        return _carry_out(store, run, screen, args.report, language, time.perf_counter() - begin, startup)


def resume(args: argparse.Namespace, language: str) -> int:
    """`thaw resume`: go on from the last checkpoint."""
    with opened(args) as store:
        run = find(store, args.run)
        check_writable(args.report)
        if run.state not in ACTIVE:
            take_slot(store, run.recipe.device).release()  # else it would be left in the queue
        if run.state != "queued" or store.is_alive(run.boot):  # else it waits for a server that is gone: it is ours
            store.requeue(run.id)
        screen = Screen(language)
        startup = start_up()
        screen.line("cli.again", run=run.name, id=run.id, epoch=run.epoch, epochs=run.recipe.epochs)
        return _carry_out(store, run, screen, args.report, language, 0.0, startup)


def flags(args: argparse.Namespace) -> Recipe:
    """The recipe of the file, if there is one, with what the flags say; data, weights and rules are filled in later."""
    recipe = _read_recipe(args.recipe) if args.recipe else Recipe()
    given: dict[str, Any] = {key: getattr(args, key) for key in RECIPE_FLAGS if getattr(args, key) is not None}
    if args.reference:
        given["reference"] = True
    if args.augment is not None:
        given["augment"] = augment_preset(args.augment)
    if "epochs" in given and recipe.warmup_epochs >= given["epochs"]:
        given["warmup_epochs"] = given["epochs"] / 2
    recipe = recipe.changed(**given).assigned(args.set)
    weights = Path(recipe.weights).expanduser()
    if weights.suffix and weights.is_file():
        recipe = recipe.changed(weights=str(weights.absolute()))  # a continuation may begin in another folder
    return recipe


def _read_recipe(file: str) -> Recipe:
    """A recipe as Thaw writes it, or a report that holds one. Raises RecipeError."""
    try:
        text = Path(file).expanduser().read_text("utf-8")
    except OSError as error:
        raise RecipeError("cli.unreadable", path=file, reason=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise RecipeError("recipe.not_json", reason="UTF-8") from error
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("recipe"), dict):
        text = json.dumps(document["recipe"])
    return parse(text)


def _check(recipe: Recipe, workspace: Workspace) -> None:
    """Raises what a recipe asks for and this machine has not, before all data is read and a run is made that must fail."""
    from core.backbones import card
    from core.backbones.weights import check_file
    from core.device import choose_device

    card(recipe.backbone, workspace)
    choose_device(recipe.device)
    if recipe.weights not in {"random", "bundled", "pretrained"}:
        check_file(Path(recipe.weights).expanduser())


def complete(recipe: Recipe, args: argparse.Namespace, dataset: "Dataset", workspace: Workspace, screen: Screen) -> Recipe:
    """The recipe with size, weights and rules where neither a flag nor a file has said them."""
    from core.backbones import card, layer_tree
    from core.strategies import STRATEGIES, apply_strategy

    known = card(recipe.backbone, workspace)
    said = {text.partition("=")[0].strip() for text in args.set}
    if not args.recipe and args.image_size is None and "image_size" not in said:
        size = known.image_size if known.source == "bundled" else Recipe().image_size
        size = known.nearest_size(size)
        recipe = recipe.changed(image_size=size)
    known.check_image_size(recipe.image_size)  # before a run is made and all its images are read
    if not args.recipe and args.weights is None and "weights" not in said:
        weights = "random" if args.strategy == "scratch" or not known.local else known.weights[0]
        if weights == "random" and args.strategy != "scratch" and "pretrained" in known.weights:
            screen.line("cli.no_weights", backbone=recipe.backbone)
        recipe = recipe.changed(weights=weights)
    strategy = args.strategy or (recipe.strategy if "strategy" in said else None)
    if "rules" in said and args.strategy is None:
        return recipe.changed(strategy=strategy or "custom")
    if args.recipe and strategy is None:
        if recipe.strategy not in STRATEGIES or not (args.backbone or "backbone" in said):
            return recipe
        strategy = recipe.strategy  # its rules name the blocks of another backbone
    tree = layer_tree(recipe.backbone, classes=len(dataset.classes), image_size=recipe.image_size, workspace=workspace)
    return apply_strategy(recipe, strategy or ("full" if recipe.weights == "random" else "last-stage"), tree)


def _carry_out(
    store: RunStore,
    run: Run,
    screen: Screen,
    report_file: str | None,
    language: str,
    opening_seconds: float,
    startup_seconds: float,
) -> int:
    """Drive a queued run to its end in this thread, write the report, say how it went."""
    with _interruptible(screen) as asked:
        try:
            ended = drive(store, run.id, watch=screen, asked=asked)
        except StoreError as error:
            if error.code == "run.device_taken":
                store.transition(run.id, "paused", allowed={"queued"})  # no server is to find it in its queue
            raise
    screen.close()
    if ended is None:
        raise StoreError("run.active", run=run.name)
    found = report(store, run.id, opening_seconds=opening_seconds, startup_seconds=startup_seconds)
    if report_file:
        write_json(report_file, found)
    outcome: str = ended.outcome
    if outcome == "stopped" and not (store.folder(run.id) / MODEL_FILE).exists():
        outcome = "stopped_early"
    if outcome in {"finished", "stopped"}:
        for line in _summary(store, found, language):
            print(line)
        return 0
    if ended.code:  # failed, or paused because the disk is full
        print(sentences(ended.code, ended.values, language), file=sys.stderr)
    if outcome == "failed":
        return 1
    again = f"thaw resume {run.id} {workspace_flag(store.workspace)}".strip()
    print(say(f"cli.ended.{outcome}", language, run=plain(run.name), command=again), file=sys.stderr)
    return INTERRUPTED if outcome == "interrupted" else 1


def _summary(store: RunStore, found: dict[str, Any], language: str) -> list[str]:
    took = duration(found["seconds"]["total"], language)
    folder = store.folder(found["run"])
    lines = ["", say(f"cli.ended.{found['state']}", language, run=plain(found["name"]), id=found["run"], took=took)]
    if found["validation"]:
        best = found["validation"]
        lines.append(say("cli.best", language, epoch=best["epoch"], accuracy=percent(best["accuracy"])))
    if found["test"]:
        key = "cli.test" if found["test"]["split"] == "test" else "cli.test_on_val"
        lines += score_lines(found["test"], language, key=key)
    lines += ["", say("cli.model", language, path=plain(str(folder / MODEL_FILE)))]
    return [*lines, say("cli.look", language, command=f"thaw ui {workspace_flag(store.workspace)}".strip())]


@contextmanager
def _interruptible(screen: Screen) -> Iterator[Any]:
    """Ctrl-C and SIGTERM become a command that saves and ends; a second one ends at once."""
    rung = told = False

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rung
        if rung:
            raise KeyboardInterrupt
        rung = True  # and no word here: it could come in the middle of another

    def take() -> Sequence[Command]:
        nonlocal told
        if told or not rung:
            return ()
        told = True
        screen.line("cli.saving")
        return [Interrupt()]

    if threading.current_thread() is not threading.main_thread():
        yield take
        return
    before = {number: signal.signal(number, ring) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield take
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
