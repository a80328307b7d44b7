"""The door to a check of images: it runs in the background, decisions are seen at once, only one's own can be made."""

import pytest

from core.dataset import open_dataset, open_imported, read_edits
from core.errors import DataError
from core.examine import Examination, Finding
from core.recipe import Recipe
from core.workspace import Workspace
from ui import examining, services


@pytest.fixture
def found(flowers: str, monkeypatch: pytest.MonkeyPatch) -> Examination:
    """Two copies and a doubt, as if the set had been checked."""
    items = services.dataset(flowers).items
    copies = Finding("near", (items[0].sha256, items[1].sha256), 0.99, "together")
    doubt = Finding("label", (items[4].sha256,), 0.9, "relabel", "百合")
    made = Examination(flowers, "original", 30, 0.9, (doubt, copies))
    monkeypatch.setattr(examining, "last_examination", lambda data, workspace: made)
    return made


def test_a_check_runs_in_the_background_and_its_result_is_found_again(flowers: str) -> None:
    assert examining.result(flowers) is None
    job = examining.start(flowers)
    assert job.wait(120)
    assert job.error is None
    open_now = examining.result(flowers)
    assert open_now is not None
    assert (open_now.examination.images, open_now.current) == (30, True)
    assert open_now.examination == job.result


def test_a_decision_is_seen_at_once_and_taken_back_by_its_number(flowers: str, found: Examination, house: Workspace) -> None:
    doubt = found.findings[0]
    edit = examining.make(flowers, "relabel", doubt.images, label="百合", kind="label")
    assert services.dataset(flowers).counts()["百合"] == 11
    now = examining.result(flowers)
    assert now is not None
    assert (now.findings, now.current, now.found) == (found.findings[1:], False, True)
    assert [one.number for one in examining.decisions(flowers)] == [edit.number]
    examining.take_back(flowers, edit.number)
    assert services.dataset(flowers) == open_imported(house, flowers)
    again = examining.result(flowers)
    assert again is not None
    assert again.findings == found.findings
    assert examining.decisions(flowers) == ()


def test_copies_are_counted_where_they_leak_until_they_are_kept_together(flowers: str, found: Examination) -> None:
    counted = []
    for seed in range(12):
        recipe = Recipe(dataset=flowers, val_fraction=0.3, test_fraction=0.3, split_seed=seed)
        counted.append(examining.leaking(recipe, found.findings))
    assert set(counted) == {0, 1}
    recipe = Recipe(dataset=flowers, val_fraction=0.3, test_fraction=0.3, split_seed=counted.index(1))
    examining.keep_together(flowers, found.findings[1:])
    assert examining.leaking(recipe, found.findings) == 0


def test_an_excluded_picture_is_still_shown_where_a_run_has_seen_it(flowers: str, found: Examination) -> None:
    sha = found.findings[0].images[0]
    examining.make(flowers, "exclude", [sha])
    assert sha not in examining.items(flowers)
    assert services.picture(flowers, sha) is not None


def test_nobody_decides_about_what_is_not_theirs_or_not_the_newest(
    flowers: str, found: Examination, house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = f"{flowers}@original"
    with pytest.raises(DataError):
        examining.make(version, "exclude", found.findings[0].images)
    monkeypatch.setattr(services, "may_delete_dataset", lambda dataset_id: False)
    for act in (
        lambda: examining.make(flowers, "exclude", found.findings[0].images),
        lambda: examining.keep_together(flowers, found.findings[1:]),
        lambda: examining.take_back(flowers, 1),
    ):
        with pytest.raises(DataError) as caught:
            act()
        assert caught.value.code == "dataset.unknown"
    assert read_edits(open_dataset(house, flowers).folder) == ()
