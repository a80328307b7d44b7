"""Copies of a picture are known by its sketch and kept together; pictures that merely look alike are not."""

import hashlib
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from core.dataset import Dataset, Item, import_dataset, likeness, open_imported, split
from core.dataset.likeness import groups
from core.dataset.record import MANIFEST, SPLITS, fingerprint, in_groups
from core.errors import DataError
from core.images import inspect
from core.workspace import Workspace


def drawn(number: int, side: int = 96) -> Image.Image:
    """Clouds of colour, others for each number."""
    rng = np.random.default_rng(number)
    layers = [rng.uniform(0, 255, (many, many, 3)).astype(np.uint8) for many in (6, 12, 24)]
    sized = [np.asarray(Image.fromarray(layer).resize((side, side), Image.Resampling.BICUBIC), float) for layer in layers]
    return Image.fromarray(np.clip(2 * np.mean(sized, axis=0) - 128, 0, 255).astype(np.uint8))


def saved(image: Image.Image, format: str = "JPEG", **more: int) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **more)
    return out.getvalue()


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "as PNG": lambda image: saved(image, "PNG"),
    "of little quality": lambda image: saved(image, quality=40),
    "half as large": lambda image: saved(image.resize((48, 48))),
    "twice as large": lambda image: saved(image.resize((192, 192))),
    "brighter": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.15)),
    "darker": lambda image: saved(ImageEnhance.Brightness(image).enhance(0.7)),
}


def sketch(data: bytes) -> bytes:
    return inspect(data, name="x").sketch


@pytest.fixture(scope="module")
def others() -> list[bytes]:
    return [sketch(saved(drawn(number))) for number in range(200)]


def test_unrelated_pictures_are_no_copies(others: list[bytes]) -> None:
    assert groups(others) == []


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_known_whatever_was_done_to_it(others: list[bytes], how: str) -> None:
    copies = [sketch(COPIES[how](drawn(number))) for number in range(20)]
    assert groups([*others, *copies]) == [[number, 200 + number] for number in range(20)]


def test_a_large_set_is_searched_faster_and_gives_the_same(others: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [sketch(copy(drawn(number))) for number, copy in enumerate(COPIES.values())]
    found = groups([*others, *copies])
    looked_at: list[int] = []
    perhaps = likeness._perhaps
    monkeypatch.setattr(likeness, "_perhaps", lambda *given: looked_at.extend(perhaps(*given)) or np.array(looked_at))
    monkeypatch.setattr(likeness, "FEW", 0)
    monkeypatch.setattr(likeness, "TOGETHER", 1000)
    assert groups([*others, *copies]) == found == [[number, 200 + number] for number in range(len(COPIES))]
    assert len(looked_at) < 30


def test_copies_of_a_copy_are_one_group(others: list[bytes]) -> None:
    assert groups([*others, others[7], others[7], others[3], others[7]]) == [[3, 202], [7, 200, 201, 203]]


def test_pictures_of_one_layout_are_no_copies_and_their_copies_are_still_known() -> None:
    """Forms that differ in one corner, as circuit boards and filled-in pages do."""
    page = np.asarray(drawn(1)).copy()
    forms = []
    for number in range(40):
        one = page.copy()
        one[8:32, 8:32] = np.asarray(drawn(100 + number, 24))
        forms.append(Image.fromarray(one))
    sketches = [sketch(saved(form, "PNG")) for form in forms]
    assert groups(sketches) == []
    assert groups([*sketches, sketch(saved(forms[5], quality=85))]) == [[5, 40]]


def test_another_colour_is_another_picture() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = (200, 60, 120)
    other = Image.fromarray(pixels[:, :, [1, 2, 0]].copy())
    assert groups([sketch(saved(Image.fromarray(pixels), "PNG")), sketch(saved(other, "PNG"))]) == []


def test_pictures_that_show_nothing_are_copies_of_nothing() -> None:
    plain = [sketch(saved(Image.new("RGB", (40, 40), (level, level, level)), quality=50)) for level in (0, 1, 128, 255)]
    assert groups([*plain, *plain, b"", b"odd"]) == []


def test_it_can_be_called_off(others: list[bytes]) -> None:
    with pytest.raises(DataError) as caught:
        groups(others, lambda: True)
    assert caught.value.code == "data.cancelled"


def test_no_copy_is_in_another_split_than_its_picture_in_200_random_sets(others: list[bytes]) -> None:
    for seed in range(200):
        dice = random.Random(seed)
        originals = dice.sample(range(len(others)), dice.randint(4, 30))
        shown = originals + [dice.choice(originals) for _ in range(dice.randint(0, 12))]
        given = [*SPLITS, None] if dice.random() < 0.3 else [None]
        items = tuple(
            Item(hashlib.sha256(f"{seed} {at}".encode()).hexdigest(), f"{at}", at % 2, dice.choice(given), 96, 96, "jpg")
            for at in range(len(shown))
        )
        items = in_groups(items, groups([others[one] for one in shown]))
        data = Dataset("id", "name", "x.zip", ("a", "b"), items, (), (), Path("nowhere"), "2026-01-01")
        parts = split(data, val_fraction=0.2, test_fraction=0.2, seed=seed)
        for one in originals:
            places = [any(shown[at] == one for at in part) for part in (parts.train, parts.val, parts.test)]
            assert sum(places) == 1, (seed, one)


@pytest.fixture
def doubled(zipped: Callable[..., Path]) -> Path:
    files = {f"{label}/{number}.jpg": saved(drawn(10 * at + number)) for at, label in enumerate("ab") for number in range(6)}
    files |= {"a/small.jpg": COPIES["half as large"](drawn(3)), "b/dark.jpg": COPIES["darker"](drawn(3))}
    return zipped(files)


def test_an_import_puts_copies_together_for_good(workspace: Workspace, doubled: Path) -> None:
    made = import_dataset(doubled, workspace)
    together = [item for item in made.items if item.group]
    assert {item.name for item in together} == {"a/3.jpg", "a/small.jpg", "b/dark.jpg"}
    assert {item.group for item in together} == {min(item.sha256 for item in together)}
    assert open_imported(workspace, made.id).items == made.items


def test_a_set_made_before_there_were_groups_stays_as_it_is_when_it_is_imported_again(
    workspace: Workspace, doubled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr("core.dataset.publishing.groups", lambda *_: [])
        old = import_dataset(doubled, workspace)
    manifest = old.folder / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"groups":[],', b""))
    assert b"groups" not in manifest.read_bytes()
    again = import_dataset(doubled, workspace)
    assert (again.id, again.items, again.fingerprint) == (old.id, old.items, old.fingerprint)
    assert all(not item.group for item in again.items)


def test_the_id_of_a_set_knows_nothing_of_copies_and_the_fingerprint_of_a_run_does(
    workspace: Workspace, doubled: Path
) -> None:
    made = import_dataset(doubled, workspace)
    plain = tuple(replace(item, group="") for item in made.items)
    assert made.id == fingerprint(made.classes, plain)[:16]
    assert made.fingerprint != fingerprint(made.classes, plain)
