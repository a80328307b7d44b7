"""`thaw evaluate`, `thaw predict` and `thaw export`: use the model of a run."""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.shared import (
    bring,
    check_data,
    check_writable,
    dataset_id,
    find,
    model_file,
    opened,
    start_up,
    write_json,
)
from core.console import Screen, complain, percent, plain, score_lines, table
from core.errors import DataError, ThawError
from core.events import Started
from core.report import skipped_files
from core.store import Run
from core.words import say
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.dataset import Dataset


def evaluate(args: argparse.Namespace, language: str) -> int:
    """`thaw evaluate`: the scores of a run's model on every image of some data."""
    with opened(args) as store:
        run = find(store, args.run, with_model=True)
        check_writable(args.report)
        check_data(args.data, store.workspace)
        file = model_file(store, run)
        screen = Screen(language)
        startup = start_up()
        begin = time.perf_counter()
        dataset = bring(args.data, store.workspace, screen)
        found = _measure(file, dataset, store.workspace, screen)
        started = [event for _, event in store.events(run.id) if isinstance(event, Started)]
        known = _known_images(run, dataset, store.workspace, started[-1].fingerprint if started else None)
        screen.close()
        result = {
            "run": run.id,
            "name": run.name,
            "recipe": run.recipe.model_dump(mode="json"),
            "dataset": dataset_id(dataset),
            **found,
            "known_images": known,
            "seconds": {"total": time.perf_counter() - begin},
            "startup_seconds": startup,
            "skipped_files": skipped_files(store.workspace, dataset_id(dataset)),
        }
        if args.report:
            write_json(args.report, result)
        sentence, *others = score_lines(result["test"], language, key="cli.evaluated")
        print(sentence)
        if known and (used := known["train"] + known["val"]):
            print(say("cli.evaluated.known", language, n=used))
        print(*others, sep="\n")
        return 0


def _known_images(run: Run, dataset: "Dataset", workspace: Workspace, fingerprint: str | None) -> dict[str, int] | None:
    """How many of these images lie in which split of the run, by content; None if its data set is not there any more."""
    from core.training.material import divide

    try:
        own, splits = divide(run.recipe, workspace, fingerprint)
    except ThawError:
        return None
    given = {item.sha256 for item in dataset.items}
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    return {name: sum(own.items[at].sha256 in given for at in indices) for name, indices in parts.items()}


def _measure(file: Path, dataset: "Dataset", workspace: Workspace, screen: Screen) -> dict[str, Any]:
    import numpy as np

    from core.dataset.pixels import load_pixels
    from core.device import choose_device
    from core.evaluation import scores, softmax
    from core.model import load_model

    model = load_model(file, choose_device("auto"))
    place = _places(dataset.classes, model.classes)
    strange = [name for name in dataset.classes if name not in place]
    if strange:
        raise DataError(
            "cli.classes_differ",
            data=dataset.name,
            strange=", ".join(strange[:5]),
            n=len(strange),
            known=", ".join(model.classes[:12]),
        )
    pixels = load_pixels(
        dataset,
        range(len(dataset.items)),
        size=model.image_size,
        fit=model.fit,
        workspace=workspace,
        progress=screen.progress("cli.preparing.data"),
    )
    parts, done = [], 0
    for part in model.parts(pixels):
        parts.append(part)
        done += len(part)
        screen.progress("cli.measuring.test")(done, len(pixels))
    labels = np.array([place[dataset.classes[item.label]] for item in dataset.items])
    majority = int(np.bincount(labels).argmax())
    found = scores(labels, softmax(np.concatenate(parts)), model.classes, majority)
    return {
        "classes": list(model.classes),
        "images": len(labels),
        "majority_class": model.classes[majority],
        "test": found.model_dump(mode="json"),
    }


def _places(names: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Which of the model's `classes` each of `names` is: the one called so, else the only one but for capitals."""
    folded = Counter(name.casefold() for name in classes)
    loose = {name.casefold(): at for at, name in enumerate(classes) if folded[name.casefold()] == 1}
    exact = {name: at for at, name in enumerate(classes)}
    found = {name: exact.get(name, loose.get(name.casefold())) for name in names}
    return {name: at for name, at in found.items() if at is not None}


def predict(args: argparse.Namespace, language: str) -> int:
    """`thaw predict`: what a run's model says about images. Those that cannot be read are named, the others answered."""
    with opened(args) as store:
        file = model_file(store, find(store, args.run, with_model=True))
        from core.device import choose_device
        from core.model import load_model

        model = load_model(file, choose_device("auto"))
        answers: list[dict[str, Any]] = []
        failed = False
        for image in _each(args.images):
            try:
                shares = model.predict([_read_image(image)])[0]
            except ThawError as error:
                failed = True
                complain(error, language)
                answers.append({"image": image, "error": {"code": error.code, "cause": error.cause}})
                continue
            order = shares.argsort()[::-1]
            answers.append(
                {
                    "image": image,
                    "class": model.classes[order[0]],
                    "probability": float(shares[order[0]]),
                    "probabilities": {model.classes[at]: float(shares[at]) for at in order},
                }
            )
        if args.json:
            print(json.dumps(answers, ensure_ascii=False, indent=1))
        else:
            rows = [
                [a["image"], *(f"{name} {percent(p)}" for name, p in list(a["probabilities"].items())[:3])]
                for a in answers
                if "error" not in a
            ]
            for line in table(rows) if rows else ():
                print(line)
        return 1 if failed else 0


def _each(given: Sequence[str]) -> Iterator[str]:
    """Files as they are given, and instead of a folder what images lie in it and below, hidden ones left out."""
    from core.images import ENDINGS

    for name in given:
        folder = Path(name).expanduser()
        within = sorted(folder.rglob("*")) if folder.is_dir() else []
        hidden = {file for file in within if any(part.startswith(".") for part in file.relative_to(folder).parts)}
        found = [file for file in within if file.suffix.lower() in ENDINGS and file not in hidden and file.is_file()]
        yield from (str(Path(name) / file.relative_to(folder)) for file in found)
        if not found:
            yield name


def _read_image(file: str) -> bytes:
    """The bytes of a picture that is one. Raises DataError (`cli.*`, `image.*` with the file's name)."""
    from core.images import ENDINGS, open_image

    if Path(file).expanduser().is_dir():
        raise DataError("cli.no_images", path=file, endings=", ".join(sorted(ENDINGS)))
    try:
        data = Path(file).expanduser().read_bytes()
    except OSError as error:
        raise DataError("cli.unreadable", path=file, reason=error.strerror or str(error)) from error
    open_image(data, name=Path(file).name)
    return data


def export(args: argparse.Namespace, language: str) -> int:
    """`thaw export`: a run's model as a file for other programs."""
    with opened(args) as store:
        run = find(store, args.run, with_model=True)
        from core.export import FORMATS, export_model

        out = Path(args.out or f"{''.join(c if c.isalnum() or c in '-_.' else '-' for c in run.name)}{FORMATS[args.format]}")
        model_file(store, run)
        done = export_model(store.folder(run.id), args.format, out.expanduser().absolute())
        print(
            say("cli.exported", language, path=plain(str(done.path)), size=f"{done.bytes / 2**20:.1f}", sha256=done.sha256)
        )
        if done.images_checked:
            worst = f"{done.largest_difference:.1e}"
            print(say("cli.exported.checked", language, n=done.images_checked, difference=worst))
        return 0
