"""Uploads in a real browser: everything chosen is on the server's disk afterwards, byte for byte, or named as failed."""

import ast
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser


def open_upload(page: Page, demo: str, query: str = "") -> None:
    page.goto(f"{demo}?page=upload{query}")
    expect(page.locator(".thaw-upload .zone")).to_be_visible(timeout=60_000)


def result(page: Page) -> dict[str, Any]:
    """What the page was given, as it is printed there."""
    code = page.locator(".st-key-result code")
    expect(code).to_contain_text("Uploaded(", timeout=30_000)
    text = code.inner_text()
    path = re.search(r"path=PosixPath\('(.*?)'\)", text)
    assert path
    figures = {name: int(value) for name, value in re.findall(r"(files|bytes|skipped|failed_count)=(\d+)", text)}
    failed = re.search(r"failed=(\(.*\)), failed_count", text)
    return {"path": Path(path[1]), **figures, "failed": ast.literal_eval(failed[1]) if failed else ()}


def make_set(folder: Path) -> dict[str, bytes]:
    files = {
        f"animals/{kind}/{number}.jpg": bytes([number]) * (number * 1000) for kind in ("猫", "dog") for number in range(1, 9)
    }
    files |= {"animals/notes.txt": b"no picture", "animals/.hidden.jpg": b"hidden", "animals/labels.csv": b"file,label\n"}
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return files


def test_a_zip_arrives_byte_for_byte(page: Page, demo: str, tmp_path: Path) -> None:
    archive = tmp_path / "signs & names.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a/1.png", bytes(range(256)) * 20_000)
    open_upload(page, demo)
    page.locator("input[data-way=archive]").set_input_files(archive)
    done = result(page)
    assert done["path"].name == "signs & names.zip"
    assert done["path"].read_bytes() == archive.read_bytes()
    assert (done["files"], done["bytes"], done["failed"]) == (1, archive.stat().st_size, ())
    expect(page.locator(".arrived")).to_contain_text("Arrived: 1 files")


EARLY = """
const attach = Element.prototype.attachShadow
Element.prototype.attachShadow = function (options) {
  const root = attach.call(this, options)
  const watch = new MutationObserver(() => {
    const input = root.querySelector("input[data-way=archive]")
    if (!input) return
    watch.disconnect()
    const chosen = new DataTransfer()
    chosen.items.add(new File(["early"], "early.zip"))
    input.files = chosen.files
    input.dispatchEvent(new Event("change"))
  })
  watch.observe(root, { childList: true, subtree: true })
  return root
}
"""
"""Chooses a zip as soon as there is a field for it, before the page's script has come."""


def test_a_zip_chosen_before_the_page_listens_arrives(page: Page, demo: str) -> None:
    page.add_init_script(EARLY)
    open_upload(page, demo)
    done = result(page)
    assert (done["path"].name, done["path"].read_bytes()) == ("early.zip", b"early")


def test_a_folder_arrives_with_its_names_and_what_is_no_picture_is_counted(page: Page, demo: str, tmp_path: Path) -> None:
    files = make_set(tmp_path)
    open_upload(page, demo)
    page.locator("input[data-way=folder]").set_input_files(tmp_path / "animals")
    done = result(page)
    assert done["path"].name == "animals"
    got = {
        f"animals/{f.relative_to(done['path']).as_posix()}": f.read_bytes() for f in done["path"].rglob("*") if f.is_file()
    }
    assert got == {name: body for name, body in files.items() if not name.endswith((".txt", ".hidden.jpg"))}
    assert done["skipped"] == 2
    expect(page.locator(".skipped")).to_contain_text("2")


def test_the_next_upload_lies_in_a_folder_of_its_own(page: Page, demo: str, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        (tmp_path / name).write_bytes(name.encode())
    open_upload(page, demo)
    page.locator("input[data-way=archive]").set_input_files(tmp_path / "one.zip")
    first = result(page)["path"]
    page.locator("input[data-way=archive]").set_input_files(tmp_path / "two.zip")
    expect(page.locator(".st-key-result code")).to_contain_text("two.zip")
    assert result(page)["path"].parent != first.parent
    assert first.read_bytes() == b"one.zip"


def test_nothing_readable_is_said_and_sends_nothing(page: Page, demo: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    open_upload(page, demo, "&lang=zh")
    page.locator("input[data-way=images]").set_input_files(tmp_path / "a.txt")
    expect(page.locator(".arrived")).to_have_text("这里没有图片、CSV 文件或 zip 压缩包。")
    expect(page.locator(".st-key-result code")).to_have_text("None")


def test_a_file_that_fails_is_named_and_can_be_sent_again(browser: Browser, demo: str, tmp_path: Path) -> None:
    page = browser.new_page()  # a page of its own: failed requests are errors to the usual one
    try:
        make_set(tmp_path)
        open_upload(page, demo)
        page.route("**/api/upload?*3.jpg", lambda route: route.fulfill(status=507, json={"code": "upload.disk_full"}))
        page.locator("input[data-way=folder]").set_input_files(tmp_path / "animals")
        expect(page.locator(".failed summary")).to_have_text("Did not arrive: 2", timeout=30_000)
        page.locator(".failed summary").click()
        expect(page.locator(".failed li").first).to_contain_text("3.jpg: The disk has no room left for this file.")
        done = result(page)
        assert (done["failed_count"], len(done["failed"])) == (2, 2)
        assert {code for _, code in done["failed"]} == {"disk_full"}
        page.unroute("**/api/upload?*3.jpg")
        page.locator(".again").click()
        expect(page.locator(".st-key-result code")).to_contain_text("files=17", timeout=30_000)
        assert result(page)["path"] == done["path"]
    finally:
        page.close()


def test_cancel_keeps_nothing(browser: Browser, demo: str, tmp_path: Path) -> None:
    page = browser.new_page()
    try:
        make_set(tmp_path)
        open_upload(page, demo)
        page.route("**/api/upload?*8.jpg", lambda route: None)  # never answered
        page.locator("input[data-way=folder]").set_input_files(tmp_path / "animals")
        expect(page.locator(".sent")).to_contain_text("15 of 17 files", timeout=30_000)
        page.locator(".cancel").click()
        expect(page.locator(".arrived")).to_have_text("Cancelled. Nothing was kept.")
        expect(page.locator(".st-key-result code")).to_have_text("None")
    finally:
        page.close()


PIECE = 32 * 2**20


def test_a_large_file_goes_on_after_a_lost_connection_and_after_a_reload(
    browser: Browser, demo: str, tmp_path: Path
) -> None:
    archive = tmp_path / "large.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("cats/noise.bin", random.Random(0).randbytes(2 * PIECE + 1000))
    page = browser.new_page()
    try:
        offsets: list[int] = []
        page.on("request", lambda r: offsets.extend(int(n) for n in re.findall(r"[?&]offset=(\d+)", r.url)))
        open_upload(page, demo)
        page.route(f"**/api/upload?*offset={2 * PIECE}&*", lambda route: route.abort())
        page.locator("input[data-way=archive]").set_input_files(archive)
        expect(page.locator(".left")).to_have_text("Connection lost, trying again…", timeout=60_000)
        page.reload()  # while the last piece is still refused: a try that got through would end the upload
        page.unroute_all()
        offsets.clear()
        open_upload(page, demo)
        page.locator("input[data-way=archive]").set_input_files(archive)
        done = result(page)
        assert offsets == [archive.stat().st_size, 2 * PIECE], "what had arrived is not sent again"
        assert (done["files"], done["bytes"], done["failed_count"]) == (1, archive.stat().st_size, 0)
        assert done["path"].read_bytes() == archive.read_bytes()
    finally:
        page.close()
