"""Try it: pictures in, answers out, bad pictures in words, and an export that is offered only after its check."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.errors import ExportError
from core.events import Pinned
from core.export import ExportReport
from core.run import Run
from ui import outcomes, services

Trained = Callable[..., Run]
Page = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]


def picture(seed: int = 0) -> bytes:
    body = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (50, 40, 3), np.uint8)).save(body, "PNG")
    return body.getvalue()


def texts(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.markdown, at.caption, at.subheader, at.error) for element in kind)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits for the model, since AppTest has no timers."""
    from ui.parts import guesses

    monkeypatch.setattr(guesses, "PATIENCE_SECONDS", 60.0)


@pytest.fixture
def exporting(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Exports that were asked for; each writes three bytes and finds 32 of 32 alike."""
    asked: list[Path] = []

    def export_apart(folder: Path, format: str, out: Path, *, cancelled: Callable[[], bool]) -> ExportReport:
        asked.append(out)
        out.write_bytes(b"abc")
        return ExportReport(out, format, 3, "c0ffee", 32, "dataset", 2e-6, 32)

    monkeypatch.setattr("core.export.export_apart", export_apart)
    return asked


def test_a_picture_gets_the_answer_of_the_model_itself(trained: Trained, page: Page, sent: Sent) -> None:
    from core.model import load_model

    run = trained()
    at = page("try_it")
    at.file_uploader(key="try_it.files").upload("<b>cat</b>.png", picture()).run()
    assert not at.exception
    (one,) = sent(at, "try_it.answers")["answers"]
    model = load_model(services.run_folder(run.id) / "model.safetensors")
    shares = model.predict([picture()])[0]
    best = int(shares.argmax())
    assert one["bars"][0] == [model.classes[best], pytest.approx(shares[best])]
    assert len(one["bars"]) == 3
    assert (one["title"], one["caption"]) == ("<b>cat</b>.png", "As the model sees it: 32 × 32 pixels")
    assert one["url"].startswith("data:image/webp;base64,")


def test_several_pictures_are_answered_in_their_order_and_a_bad_one_in_words(
    trained: Trained, page: Page, sent: Sent
) -> None:
    trained()
    at = page("try_it")
    files = at.file_uploader(key="try_it.files")
    files.set_value([("a.png", picture(1), "image/png"), ("notes.jpg", b"no picture at all", "image/jpeg")])
    at.run()
    assert [one["title"] for one in sent(at, "try_it.answers")["answers"]] == ["a.png"]
    assert r"notes\.jpg" in at.error[0].value


def test_a_test_picture_can_be_tried(trained: Trained, page: Page, sent: Sent, press: Press) -> None:
    run = trained()
    at = page("try_it")
    at.segmented_control(key="try_it.way").set_value("sample").run()
    assert len(sent(at, f"try_it.samples.{run.id}")["pictures"]) == 12
    press(at, f"try_it.samples.{run.id}", "clicked", 2)
    (one,) = sent(at, "try_it.answers")["answers"]
    assert one["title"] == services.dataset("demo:digits").items[2].name


def test_a_camera_is_asked_for_only_when_it_is_chosen(trained: Trained, page: Page) -> None:
    trained()
    at = page("try_it")
    assert not at.get("camera_input")
    at.segmented_control(key="try_it.way").set_value("camera").run()
    assert len(at.get("camera_input")) == 1


def test_a_model_that_is_gone_is_said_in_words(trained: Trained, page: Page) -> None:
    run = trained()
    (services.run_folder(run.id) / "model.safetensors").unlink()
    at = page("try_it")
    at.file_uploader(key="try_it.files").upload("a.png", picture()).run()
    assert "has no finished model" in at.error[0].value
    assert "The weights of this run are not on the disk any more." in texts(at)


def test_nothing_is_offered_for_download_before_the_check(
    trained: Trained, page: Page, sent: Sent, exporting: list[Path]
) -> None:
    run = trained()
    at = page("try_it")
    assert sent(at, "take.onnx.get") is None
    at.button(key="take.onnx.prepare").click().run()
    job = outcomes.export_job(run.id)
    assert job is not None
    assert job.wait(10)
    at.run()
    assert exporting == [services.run_folder(run.id) / "model.onnx"]
    assert "Checked: 32 of 32 of your images get the same answer; no probability differs by more than 0.001 %." in texts(at)
    assert sent(at, "take.onnx.get")["url"] == f"/api/download/{run.id}/model.onnx"
    assert [code.value for code in at.code][1] == "c0ffee"


def test_the_lines_of_python_name_the_file_as_it_is_downloaded(trained: Trained, page: Page, exporting: list[Path]) -> None:
    run = trained()
    outcomes.export(run.id).wait(10)
    at = page("try_it")
    assert f"thaw-{run.id[-8:].lower()}-model.onnx" in at.code[0].value


def test_a_check_is_remembered_over_a_restart_until_the_model_or_the_file_changes(
    trained: Trained, exporting: list[Path], model_file: Path
) -> None:
    run = trained()
    outcomes.export(run.id).wait(10)
    services.jobs().close()
    known = outcomes.exported(run.id)
    assert known is not None
    assert (known.sha256, known.same_top1) == ("c0ffee", 32)
    folder = services.run_folder(run.id)
    (folder / "model.onnx").write_bytes(b"abcd")
    assert outcomes.exported(run.id) is None
    (folder / "model.onnx").write_bytes(b"abc")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(model_file.read_bytes() + b" ")
    assert outcomes.exported(run.id) is None


def test_a_failed_check_is_said_and_can_be_tried_again(
    trained: Trained, page: Page, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_apart(*_: object, **__: object) -> ExportReport:
        raise ExportError("export.disagrees", difference="0.3", tolerance="0.001")

    monkeypatch.setattr("core.export.export_apart", export_apart)
    run = trained()
    outcomes.export(run.id).wait(10)
    at = page("try_it")
    assert "answers differently from the app" in at.error[0].value
    assert sent(at, "take.onnx.get") is None
    assert at.button(key="take.onnx.prepare").label == "Prepare and check"


def test_the_weights_are_a_link_to_the_runs_own_file(trained: Trained, page: Page, sent: Sent) -> None:
    run = trained()
    given = sent(page("try_it"), "take.weights.get")
    assert given["url"] == f"/api/download/{run.id}/model.safetensors"
    assert given["note"].endswith("MB")


def test_with_no_model_one_button_leads_to_the_train_page(house: object, page: Page) -> None:
    at = page("try_it")
    assert not at.exception
    assert at.button(key="try_it.empty.go").label == "Start a training"


def test_in_chinese_the_page_is_chinese(trained: Trained, page: Page) -> None:
    trained()
    assert page("try_it", lang="zh").title[0].value == "试一试"


def keep(run: Run, model_file: Path, name: str = "a *moment*") -> str:
    """A moment of the run, kept as training keeps it."""
    file = services.run_folder(run.id) / "kept-00000004.safetensors"
    shutil.copy(model_file, file)
    size = file.stat().st_size
    pin = Pinned(step=4, epoch=2, name=name, file=file.name, sha256="0" * 64, size_bytes=size)
    services.store().append(run.id, [pin])
    return file.name


def test_a_moment_that_was_kept_can_be_asked_instead_of_the_best(
    trained: Trained, page: Page, sent: Sent, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained()
    assert not [box for box in page("try_it").selectbox if box.key.startswith("try_it.kept")]
    file = keep(run, model_file)
    asked: list[str] = []
    real = outcomes.predict
    monkeypatch.setattr(
        outcomes, "predict", lambda run_id, given, kept="": (asked.append(kept), real(run_id, given, kept))[1]
    )
    at = page("try_it")
    (box,) = [box for box in at.selectbox if box.key.startswith("try_it.kept")]
    assert box.options == ["The best, tested one", "a *moment* · Step 4, epoch 2"]
    at.file_uploader(key="try_it.files").upload("a.png", picture()).run()
    at.selectbox(key=box.key).set_value(file).run()
    assert asked == ["", file]
    assert sent(at, "try_it.answers")
    assert not at.exception


def test_a_moment_of_a_run_without_a_model_can_be_tried_taken_home_and_let_go(
    trained: Trained, page: Page, sent: Sent, model_file: Path
) -> None:
    run = trained("paused")
    file = keep(run, model_file)
    at = page("try_it")
    assert r"a \*moment\*" in texts(at)
    assert sent(at, f"pins.get.{file}")["url"] == f"/api/download/{run.id}/{file}"
    assert sent(at, "take.weights.get") is None
    at.button(key=f"pins.let-go.{file}").click().run()
    at.button(key="pins.yes").click().run()
    assert services.pins(run.id) == ()
    assert not (services.run_folder(run.id) / file).exists()
