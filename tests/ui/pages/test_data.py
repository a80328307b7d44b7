"""Data: bring, choose, look, divide. Names of files and classes are shown as they are, whatever they look like."""

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.dataset import Dataset, Skipped, import_dataset
from core.dataset.record import in_groups
from core.errors import DataError
from core.recipe import Recipe
from core.words import catalogue
from core.workspace import Workspace
from ui import examining, services, state
from ui.parts import divide, look, shelf
from ui.text import plain

Draw = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]


@pytest.fixture(autouse=True)
def demos(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """No demo: they are painted in the background, and their own tests look at them."""
    monkeypatch.setattr(services, "demo_ids", tuple)


def draft(at: AppTest) -> Any:
    return at.session_state["thaw.draft"]


def table_with(at: AppTest, column: str) -> pd.DataFrame:
    (found,) = [one.value for one in at.dataframe if column in one.value.columns]
    return found


def chosen(at: AppTest, dataset_id: str) -> AppTest:
    at.session_state["thaw.draft"] = services.first_draft().changed(dataset=dataset_id)
    return at.run()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_copies_that_were_put_together_are_said_with_how_many(
    flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    said = catalogue(lang)["data.divide.together"]
    assert not any(said[-12:] in one.value for one in chosen(draw("data", lang=lang), flowers).caption)
    data = services.dataset(flowers)
    put = replace(data, items=in_groups(data.items, [[0, 1], [2, 3, 4]]))
    excluded = replace(put, items=put.items[1:], left_out=put.items[:1])
    monkeypatch.setattr(services, "dataset", lambda dataset_id: excluded)
    at = chosen(draw("data", lang=lang), flowers)
    assert any(one.value.endswith(said.format(n=3)) for one in at.caption)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_empty_workspace_says_what_to_do(draw: Draw, lang: str) -> None:
    at = draw("data", lang=lang)
    assert not at.exception
    assert at.title[0].value == catalogue(lang)["data.title"]
    assert at.button(key="data.next").disabled
    assert catalogue(lang)["data.next.why"] in [one.value for one in at.caption]


def test_a_set_is_chosen_by_its_card(flowers: str, draw: Draw, press: Press, sent: Sent) -> None:
    at = draw("data")
    assert sent(at, "data.shelf")["chosen"] == ""
    press(at, "data.shelf", "picked", flowers)
    assert (draft(at).dataset, draft(at).image_size) == (flowers, 32)
    assert sent(at, "data.shelf")["chosen"] == flowers
    assert not at.button(key="data.next").disabled


def test_a_set_that_does_not_exist_cannot_be_chosen(flowers: str, draw: Draw, press: Press) -> None:
    at = press(draw("data"), "data.shelf", "picked", "../../etc")
    assert draft(at).dataset == ""


def test_a_set_that_is_gone_is_said_and_dropped(flowers: str, draw: Draw) -> None:
    at = draw("data")
    services.delete_dataset(flowers)
    chosen(at, flowers)
    assert flowers in at.error[0].value
    assert draft(at).dataset == ""
    assert not at.exception


def test_pictures_come_by_turns_and_by_class(flowers: str, draw: Draw, sent: Sent) -> None:
    at = chosen(draw("data"), flowers)
    shown = sent(at, "data.samples")["pictures"]
    assert [one["caption"] for one in shown[:4]] == ["daisy", "rose :smile:", "百合", "daisy"]
    at.selectbox(key="data.class").set_value(2).run()
    assert {one["caption"] for one in sent(at, "data.samples")["pictures"]} == {"百合"}


def test_more_pictures_than_a_page_holds_are_a_press_away(flowers: str, draw: Draw, sent: Sent) -> None:
    at = chosen(draw("data"), flowers)
    first = [one["url"] for one in sent(at, "data.samples")["pictures"]]
    assert len(first) == look.SAMPLES
    at.session_state["data.page"] = 2
    at.run()
    second = [one["url"] for one in sent(at, "data.samples")["pictures"]]
    assert len(second) == 30 - look.SAMPLES
    assert not set(first) & set(second)
    at.selectbox(key="data.class").set_value(0).run()
    assert len(sent(at, "data.samples")["pictures"]) == 10


def test_the_division_follows_the_sliders(flowers: str, draw: Draw) -> None:
    at = chosen(draw("data"), flowers)
    at.slider(key="recipe.val_fraction").set_value(30).run()
    at.slider(key="recipe.test_fraction").set_value(20).run()
    assert (draft(at).val_fraction, draft(at).test_fraction) == (0.3, 0.2)
    shown = {one.label: one.value for one in at.metric}
    assert (shown["Training"], shown["Validation"], shown["Test"]) == ("15", "9", "6")


def test_no_test_pictures_is_said(flowers: str, draw: Draw) -> None:
    at = chosen(draw("data"), flowers)
    at.slider(key="recipe.test_fraction").set_value(0).run()
    assert any(catalogue("en")["data.divide.no_test"] in one.value for one in at.caption)


def test_a_division_that_leaves_nothing_is_refused_in_words(flowers: str, draw: Draw) -> None:
    at = chosen(draw("data"), flowers)
    at.slider(key="recipe.val_fraction").set_value(50).run()
    at.slider(key="recipe.test_fraction").set_value(50).run()
    assert draft(at).test_fraction == 0.1
    assert at.slider(key="recipe.test_fraction").value == 10
    assert any(one.value.startswith(":red[") for one in at.caption)


def test_every_file_left_out_is_listed_with_its_reason(flowers: str, draw: Draw) -> None:
    at = chosen(draw("data"), flowers)
    table = table_with(at, "File")
    assert list(table["File"]) == ["daisy/broken.png", "daisy/notes.txt"]
    assert all(len(reason) > 10 for reason in table["Why"])


def test_the_table_of_what_was_left_out_speaks_both_languages(flowers: str, draw: Draw) -> None:
    at = draw("data", lang="zh")
    table = table_with(chosen(at, flowers), "文件")
    assert list(table.columns) == ["文件", "原因", "怎么办"]


def test_what_can_be_seen_of_refused_files_is_shown_with_name_and_reason(
    flowers: str, draw: Draw, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = services.dataset(flowers)
    refused = Skipped("daisy/cut.jpg", "image.damaged", {"name": "daisy/cut.jpg"}, "a" * 64)
    data.remains(refused).write_bytes(b"small")
    monkeypatch.setattr(services, "dataset", lambda dataset_id: replace(data, skipped=(*data.skipped, refused)))
    (shown,) = sent(chosen(draw("data"), flowers), "data.remains")["pictures"]
    assert shown["url"] == "data:image/webp;base64,c21hbGw="
    assert (shown["caption"], shown["note"]) == ("daisy/cut.jpg", refused_words(refused))


def refused_words(one: Skipped) -> str:
    return catalogue("en")[f"error.{one.code}.cause"].format(**one.values)


def test_a_folder_that_is_not_there_is_said_at_the_field(draw: Draw) -> None:
    at = draw("data")
    at.segmented_control(key="data.way").set_value("folder").run()
    at.text_input(key="data.path").set_value("/no/such/folder")
    press_import(at)
    assert any("/no/such/folder" in one.value for one in at.caption)


def press_import(at: AppTest) -> None:
    next(one for one in at.button if one.label == catalogue("en")["data.bring.path.go"]).click().run()


def test_a_folder_is_imported_and_chosen(draw: Draw, pictures: Path) -> None:
    at = draw("data")
    at.segmented_control(key="data.way").set_value("folder").run()
    at.text_input(key="data.path").set_value(f'"{pictures}"')
    press_import(at)
    job = services.jobs().find("import")
    assert job is None or job.wait(30)  # None: it had ended before the page was drawn again
    at.run()
    assert services.dataset_ids() == (draft(at).dataset,)
    assert not at.exception


def test_a_running_import_shows_how_far_it_is_and_can_be_called_off(draw: Draw) -> None:
    begun, seen = threading.Event(), threading.Event()

    def work(progress: Any, cancelled: Any) -> None:
        progress(3, 10)
        begun.set()
        while not cancelled():
            pass
        seen.set()

    job = services.jobs().start("import", "*flowers*", work)
    assert begun.wait(10)
    at = draw("data")
    assert any(r"\*flowers\*" in one.value for one in at.markdown)
    assert any("3 of 10" in one.proto.text for one in at.get("progress"))
    at.button(key="data.cancel").click().run()
    assert seen.wait(10)
    assert job.wait(10)
    at.run()
    assert any("was cancelled" in one.value for one in at.caption)


def test_a_failed_import_says_cause_and_remedy_and_the_files(draw: Draw, tmp_path: Path) -> None:
    folder = tmp_path / "bad" / "cats"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(b"nothing of a picture")
    job = services.start_import(folder.parent, "bad")
    assert job.wait(30)
    at = draw("data")
    at.session_state[state.key("data", "import")] = job.id
    at.run()
    assert job.error is not None
    _cause, _remedy, code = at.error[0].value.splitlines()
    assert plain(job.error.code) in code
    assert list(table_with(at, "File")["File"]) == ["cats/one.png"]


def test_deleting_asks_first(flowers: str, draw: Draw) -> None:
    at = chosen(draw("data"), flowers)
    at.button(key="data.delete").click().run()
    assert services.dataset_ids() == (flowers,)
    assert at.button(key="data.delete-yes").label == catalogue("en")["data.delete.yes"]


def test_a_demo_cannot_be_deleted(draw: Draw, flowers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = services.dataset(flowers)
    monkeypatch.setattr(services, "dataset", lambda dataset_id: replace(made, source="demo:digits"))
    at = chosen(draw("data"), flowers)
    assert "data.delete" not in [one.key for one in at.button]


def test_cards_tell_demo_from_own(flowers: str) -> None:
    own = shelf.card(flowers, services.dataset(flowers))
    assert own.title == "flowers"
    assert own.facts == (("Images", "30"), ("Classes", "3"))
    assert len(own.images) == shelf.SHEET
    waiting = shelf.card("demo:digits", None)
    assert (waiting.title, waiting.disabled) == (catalogue("en")["demo.digits.title"], True)


def test_classes_that_learn_and_are_never_asked_about_are_named_before_the_start(
    flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    daisy, rose, lily = services.dataset(flowers).classes
    counts: dict[str, dict[str, int]] = {
        "train": {daisy: 5, rose: 5, lily: 5},
        "val": {daisy: 2},
        "test": {daisy: 2, lily: 1},
    }
    monkeypatch.setattr(services, "split_counts", lambda recipe: counts)
    said = [one.value for one in chosen(draw("data"), flowers).caption]
    assert sum(f"No test image is of {plain(rose)}, so the result will say nothing" in one for one in said) == 1
    assert (
        sum(
            f"2 classes have no validation images, so the curves will say nothing about them: {plain(rose)}" in one
            for one in said
        )
        == 1
    )
    counts |= {"val": {}, "test": {daisy: 1, rose: 1, lily: 1}}
    assert not any("will say nothing" in one.value for one in chosen(draw("data"), flowers).caption)


def test_preview_table_has_a_row_a_class(flowers: str) -> None:
    data: Dataset = services.dataset(flowers)
    counts = {"train": {"daisy": 8}, "val": {"daisy": 1}, "test": {}}
    table = divide.preview_table(counts, data.classes)
    assert list(table.index) == list(data.classes)
    assert list(table.loc["daisy"]) == [8, 1, 0]


def test_nobody_goes_on_while_images_are_still_being_read(draw: Draw, flowers: str) -> None:
    services.keep_draft(Recipe(dataset=flowers, backbone="thaw-small", image_size=32))
    assert not draw("data").button(key="data.next").disabled
    done = threading.Event()
    job = services.jobs().start("import", "more", lambda progress, cancelled: done.wait(60))
    try:
        at = draw("data")
        assert at.button(key="data.next").disabled
        assert any("still being read" in caption.value for caption in at.caption)
    finally:
        done.set()
        job.wait(10)


@pytest.mark.parametrize("key", ["digits", "street"])
def test_a_demo_tells_its_story_its_lesson_and_whose_it_is(draw: Draw, house: Workspace, key: str) -> None:
    services.dataset(f"demo:{key}")
    services.keep_draft(Recipe(dataset=f"demo:{key}", backbone="thaw-small", image_size=32))
    at = draw("data")
    said = [element.value for kind in (at.markdown, at.caption) for element in kind]
    words = catalogue("en")
    assert words[f"demo.{key}.story"] in said
    assert f":material/school: {words[f'demo.{key}.lesson']}" in said
    assert any(("UCI" if key == "digits" else "Apache-2.0") in one for one in said)


@pytest.fixture
def torn(house: Workspace, tmp_path: Path) -> str:
    """Id of a set in which three photos break off."""
    for label in ("daisy", "rose"):
        (tmp_path / "torn" / label).mkdir(parents=True)
        for number in range(5):
            out = io.BytesIO()
            pixels = np.random.default_rng([len(label), number]).integers(0, 256, (60, 80, 3), np.uint8)
            Image.fromarray(pixels).save(out, "JPEG")
            data = out.getvalue() if number < 3 or (label == "rose" and number < 4) else out.getvalue()[:2000]
            (tmp_path / "torn" / label / f"{number}.jpg").write_bytes(data)
    return import_dataset(tmp_path / "torn", house).id


def buttons(at: AppTest, words: str) -> list[Any]:
    return [one for one in at.button if one.label == words]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_photos_that_break_off_are_shown_with_the_choice_to_keep_them(torn: str, draw: Draw, sent: Sent, lang: str) -> None:
    words = catalogue(lang)
    at = chosen(draw("data", lang=lang), torn)
    assert any(one.value == words["data.broken.lead"].format(n=3) for one in at.markdown)
    assert len(buttons(at, words["data.broken.keep"])) == 3
    assert len(buttons(at, words["data.broken.keep_all"].format(n=3))) == 1
    (shown,) = sent(at, "data.broken-picture")["pictures"]
    assert shown["url"].startswith("data:image/webp;base64,")
    assert sent(at, "data.remains") is None


def test_what_is_seen_of_a_photo_is_kept_at_a_press_and_let_go_at_another(torn: str, draw: Draw) -> None:
    words = catalogue("en")
    at = chosen(draw("data"), torn)
    images = len(services.dataset(torn).items)
    at = buttons(at, words["data.broken.keep"])[0].click().run()
    assert not at.exception
    assert len(services.dataset(torn).items) == images + 1
    assert len(buttons(at, words["data.broken.keep"])) == 2
    assert len(table_with(at, words["data.skipped.file"])) == 2
    at = buttons(at, words["data.broken.keep_all"].format(n=2))[0].click().run()
    assert len(services.dataset(torn).items) == images + 3
    assert not buttons(at, words["data.broken.keep"])
    undo = [one for one in at.button if one.key and "examine-undo" in one.key]
    assert len(undo) == 2
    at = undo[0].click().run()
    assert len(services.dataset(torn).items) == images + 1
    assert len(buttons(at, words["data.broken.keep"])) == 2


def test_in_an_older_version_nothing_is_kept(torn: str, draw: Draw) -> None:
    at = chosen(draw("data"), torn)
    buttons(at, catalogue("en")["data.broken.keep"])[0].click().run()
    at = chosen(draw("data"), f"{torn}@original")
    assert [one.disabled for one in buttons(at, catalogue("en")["data.broken.keep"])] == [True] * 3
    assert any(catalogue("en")["data.broken.not_yours"] in one.value for one in at.caption)


def test_a_refusal_to_keep_is_said_beside_the_photos(torn: str, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DataError("data.disk_full", path="/somewhere")

    at = chosen(draw("data"), torn)
    monkeypatch.setattr(examining, "decide", full)
    at = buttons(at, catalogue("en")["data.broken.keep"])[0].click().run()
    assert any("/somewhere" in one.value for one in at.caption)
