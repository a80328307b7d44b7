"""Decisions only ever add to a list; every one can be undone, no imported byte is touched, and each state has a name."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.dataset import Dataset, decide, holding, import_dataset, open_dataset, open_imported, open_like, pinned, read_edits
from core.dataset import edits as module
from core.dataset.edits import ORIGINAL, Standing, edited, standing, undo
from core.dataset.record import in_groups
from core.errors import DataError
from core.workspace import Workspace


@pytest.fixture
def pets_set(pets: Callable[..., dict[str, bytes]], zipped: Callable[..., Path], workspace: Workspace) -> Dataset:
    return import_dataset(zipped(pets(5)), workspace)


def shas(dataset: Dataset, label: int) -> list[str]:
    return [item.sha256 for item in dataset.items if item.label == label]


def contents(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.name != module.FILE
    }


def test_no_decision_touches_an_imported_byte(pets_set: Dataset, workspace: Workspace) -> None:
    before = contents(pets_set.folder)
    decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    decide(pets_set, "relabel", shas(pets_set, 0)[1:2], label="dogs")
    decide(pets_set, "together", shas(pets_set, 1)[:2])
    open_dataset(workspace, pets_set.id)
    assert contents(pets_set.folder) == before


def test_a_set_is_opened_with_what_was_decided(pets_set: Dataset, workspace: Workspace) -> None:
    cats, dogs = shas(pets_set, 0), shas(pets_set, 1)
    decide(pets_set, "exclude", [cats[0]])
    decide(pets_set, "relabel", [cats[1]], label="dogs")
    decide(pets_set, "together", [dogs[3], dogs[1]])
    now = open_dataset(workspace, pets_set.id)
    assert now.counts() == {"cats": 3, "dogs": 6}
    assert [item.sha256 for item in now.left_out] == [cats[0]]
    assert {item.sha256 for item in now.items if item.group} == {dogs[1], dogs[3]}
    assert {item.group for item in now.items} == {"", min(dogs[1], dogs[3])}
    assert now.classes == pets_set.classes
    assert open_imported(workspace, pets_set.id) == pets_set


def test_what_an_import_put_together_stays_together_whatever_is_decided(pets_set: Dataset) -> None:
    cats, dogs = shas(pets_set, 0), shas(pets_set, 1)
    put = replace(pets_set, items=in_groups(pets_set.items, [[0, 1], [2, 3]]))
    left_alone = edited(put, Standing(excluded=frozenset([dogs[4]])))
    assert [item.group for item in left_alone.items] == [item.group for item in put.items[:-1]]
    joined = edited(put, Standing(groups=dict.fromkeys([cats[1], dogs[0]], min(cats[1], dogs[0]))))
    names = {item.sha256: item.group for item in joined.items if item.group}
    assert {names[sha] for sha in (cats[0], cats[1], dogs[0])} == {min(cats[0], cats[1], dogs[0])}
    assert {names[sha] for sha in (cats[2], cats[3])} == {min(cats[2], cats[3])}
    assert len(names) == 5


def test_undoing_everything_gives_the_set_as_imported_and_the_list_has_grown(
    pets_set: Dataset, workspace: Workspace
) -> None:
    made = [decide(pets_set, "exclude", shas(pets_set, 0)[:1]), decide(pets_set, "together", shas(pets_set, 1)[:2])]
    for edit in made:
        undo(pets_set, edit.number)
    now = open_dataset(workspace, pets_set.id)
    assert (now, now.version) == (pets_set, ORIGINAL)
    assert [edit.act for edit in read_edits(pets_set.folder)] == ["exclude", "together", "undo", "undo"]
    assert holding(read_edits(pets_set.folder)) == ()


def test_of_two_decisions_the_later_one_holds_and_its_undo_brings_back_the_earlier(
    pets_set: Dataset, workspace: Workspace
) -> None:
    cat = shas(pets_set, 0)[:1]
    decide(pets_set, "relabel", cat, label="dogs")
    later = decide(pets_set, "relabel", cat, label="cats")
    assert open_dataset(workspace, pets_set.id).counts() == {"cats": 5, "dogs": 5}
    undo(pets_set, later.number)
    assert open_dataset(workspace, pets_set.id).counts() == {"cats": 4, "dogs": 6}


def test_groups_that_share_an_image_become_one(pets_set: Dataset) -> None:
    a, b, c, *_ = shas(pets_set, 0)
    decide(pets_set, "together", [a, b])
    decide(pets_set, "together", [b, c])
    assert standing(read_edits(pets_set.folder)).groups == dict.fromkeys((a, b, c), min(a, b, c))


def test_every_version_can_be_opened_again_by_its_name(pets_set: Dataset, workspace: Workspace) -> None:
    seen = [open_dataset(workspace, pets_set.id)]
    for sha in shas(pets_set, 0)[:3]:
        decide(pets_set, "exclude", [sha])
        seen.append(open_dataset(workspace, pets_set.id))
    assert len({one.version for one in seen}) == 4
    assert len({one.fingerprint for one in seen}) == 4
    for one in seen:
        assert open_dataset(workspace, f"{pets_set.id}@{one.version}") == one
        assert open_like(workspace, pets_set.id, one.fingerprint) == one


def test_a_version_hangs_on_what_holds_not_on_the_way_there(pets_set: Dataset) -> None:
    a, b, *_ = shas(pets_set, 0)
    decide(pets_set, "exclude", [a])
    decide(pets_set, "exclude", [b])
    there = standing(read_edits(pets_set.folder)).version
    for edit in holding(read_edits(pets_set.folder)):
        undo(pets_set, edit.number)
    decide(pets_set, "exclude", [b, a])
    assert standing(read_edits(pets_set.folder)).version == there


def test_leaving_something_as_it_is_makes_no_version(pets_set: Dataset, workspace: Workspace) -> None:
    decide(pets_set, "ignore", shas(pets_set, 0)[:1], kind="blurred")
    assert open_dataset(workspace, pets_set.id).version == ORIGINAL
    assert standing(read_edits(pets_set.folder)).ignored == {("blurred", tuple(shas(pets_set, 0)[:1]))}


def test_a_run_is_pinned_to_a_version_once_there_was_a_decision(pets_set: Dataset, workspace: Workspace) -> None:
    assert pinned(workspace, pets_set.id) == pets_set.id
    edit = decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    name = pinned(workspace, pets_set.id)
    assert name == f"{pets_set.id}@{open_dataset(workspace, pets_set.id).version}"
    undo(pets_set, edit.number)
    assert pinned(workspace, pets_set.id) == f"{pets_set.id}@original"
    assert pinned(workspace, name) == name
    assert pinned(workspace, "") == ""
    assert pinned(workspace, "../elsewhere") == "../elsewhere"


def test_an_unknown_version_is_refused_in_words(pets_set: Dataset, workspace: Workspace) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(workspace, f"{pets_set.id}@0123456789ab")
    assert caught.value.code == "dataset.no_version"


@pytest.mark.parametrize(
    ("act", "images", "label", "code"),
    [
        ("exclude", ["f" * 64], "", "edit.unknown_image"),
        ("relabel", [], "owls", "edit.unknown_class"),
    ],
)
def test_a_decision_about_nothing_is_refused(pets_set: Dataset, act: str, images: list[str], label: str, code: str) -> None:
    with pytest.raises(DataError) as caught:
        decide(pets_set, act, images or shas(pets_set, 0)[:1], label=label)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert read_edits(pets_set.folder) == ()


def test_no_decision_leaves_a_class_with_too_few_images(pets_set: Dataset) -> None:
    cats = shas(pets_set, 0)
    decide(pets_set, "exclude", cats[:3])
    for refused in (
        lambda: decide(pets_set, "exclude", cats[3:4]),
        lambda: decide(pets_set, "relabel", cats[3:4], label="dogs"),
    ):
        with pytest.raises(DataError) as caught:
            refused()
        assert caught.value.cause == "The class cats would keep 1 of its images; it needs at least 2."
    assert len(read_edits(pets_set.folder)) == 1


def test_an_undo_of_nothing_is_refused(pets_set: Dataset) -> None:
    edit = decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    undo(pets_set, edit.number)
    for number in (edit.number, 99):
        with pytest.raises(DataError) as caught:
            undo(pets_set, number)
        assert caught.value.code == "edit.nothing_to_undo"


@pytest.mark.parametrize("lost", [1, 7, 40])
def test_an_entry_torn_by_a_power_cut_is_no_entry_and_hurts_no_other(pets_set: Dataset, lost: int) -> None:
    first = decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    decide(pets_set, "exclude", shas(pets_set, 0)[1:2])
    file = pets_set.folder / module.FILE
    file.write_bytes(file.read_bytes()[: -1 - lost])
    assert read_edits(pets_set.folder) == (first,)
    third = decide(pets_set, "exclude", shas(pets_set, 1)[:1])
    assert read_edits(pets_set.folder) == (first, third)


def test_the_first_decision_is_flushed_with_the_name_of_its_file(pets_set: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        module, "flush_folder", lambda folder: flushed.append((folder, (folder / module.FILE).stat().st_size > 0))
    )
    decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    assert flushed == [(pets_set.folder, True)]


def test_decisions_outlive_a_set_that_is_imported_again(
    pets_set: Dataset, pets: Callable[..., dict[str, bytes]], zipped: Callable[..., Path], workspace: Workspace
) -> None:
    decide(pets_set, "exclude", shas(pets_set, 0)[:1])
    version = open_dataset(workspace, pets_set.id).version
    pets_set.path(pets_set.items[3]).unlink()  # damaged: it is written anew
    again = import_dataset(zipped(pets(5), "again.zip"), workspace)
    assert open_dataset(workspace, again.id).version == version
    assert again.path(again.items[3]).is_file()


@pytest.fixture
def torn_set(
    pets: Callable[..., dict[str, bytes]], picture: Callable[..., bytes], zipped: Callable[..., Path], workspace: Workspace
) -> Dataset:
    """With two photos that break off, one in each class."""
    photos = {f"{label}/cut.jpg": picture(90 + at, "JPEG", size=(96, 80)) for at, label in enumerate(("cats", "dogs"))}
    return import_dataset(zipped({**pets(3), **{name: data[: len(data) // 2] for name, data in photos.items()}}), workspace)


def test_what_is_seen_of_a_broken_photo_is_an_image_once_it_is_kept_until_that_is_undone(
    torn_set: Dataset, workspace: Workspace
) -> None:
    [(cat, part), (dog, _)] = torn_set.parts()
    before = contents(torn_set.folder)
    edit = decide(torn_set, "keep", [part.sha256])
    now = open_dataset(workspace, torn_set.id)
    assert now.items == (*torn_set.items, part)
    assert (now.skipped, [one for one, _ in now.parts()]) == ((dog,), [dog])
    assert now.version != ORIGINAL
    assert now.fingerprint != torn_set.fingerprint
    assert now.counts() == {"cats": 4, "dogs": 3}
    assert pinned(workspace, torn_set.id) == f"{torn_set.id}@{now.version}"
    assert open_dataset(workspace, f"{torn_set.id}@original").skipped == (cat, dog)
    undo(torn_set, edit.number)
    assert open_dataset(workspace, torn_set.id) == torn_set
    assert open_dataset(workspace, f"{torn_set.id}@{now.version}").items == now.items
    assert contents(torn_set.folder) == before


def test_what_was_kept_can_be_decided_about_like_any_image(torn_set: Dataset, workspace: Workspace) -> None:
    [(_, part), _] = torn_set.parts()
    decide(torn_set, "keep", [part.sha256])
    decide(torn_set, "relabel", [part.sha256], label="dogs")
    decide(torn_set, "together", [part.sha256, torn_set.items[0].sha256])
    now = open_dataset(workspace, torn_set.id)
    assert now.classes[now.items[-1].label] == "dogs"
    assert now.items[-1].group == now.items[0].group != ""
    decide(torn_set, "exclude", [part.sha256])
    now = open_dataset(workspace, torn_set.id)
    assert (now.items[-1].sha256 == part.sha256, [item.sha256 for item in now.left_out]) == (False, [part.sha256])


def test_only_parts_of_this_set_can_be_kept(torn_set: Dataset) -> None:
    for sha in (torn_set.items[0].sha256, "a" * 64):
        with pytest.raises(DataError) as caught:
            decide(torn_set, "keep", [sha])
        assert caught.value.code == "edit.unknown_image"


def test_a_part_cannot_be_taken_back_where_its_class_would_be_too_small(torn_set: Dataset) -> None:
    [(_, part), _] = torn_set.parts()
    edit = decide(torn_set, "keep", [part.sha256])
    decide(torn_set, "exclude", shas(torn_set, 0)[:2])
    with pytest.raises(DataError) as caught:
        undo(torn_set, edit.number)
    assert caught.value.code == "edit.class_too_small"


def test_versions_from_before_anything_could_be_kept_have_their_names_still() -> None:
    assert Standing(frozenset({"a"}), {"b": "cats"}, {"c": "c", "d": "c"}).version == "2f86d0657f57"
