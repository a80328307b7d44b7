"""Names are data: read right, refused where a program could take them for a path, and never lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset.names import folded, ignored, natural, parts, readable, unsafe


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/cats/._1.jpg",
        "cats/.hidden.jpg",
        ".git/x.png",
        "cats/Thumbs.db",
        "desktop.ini",
        "a/@eaDir/1.jpg",
        "a/.DS_Store",
    ],
)
def test_what_systems_leave_behind_is_passed_over(name: str) -> None:
    assert ignored(name)


@pytest.mark.parametrize("name", ["cats/1.jpg", "a.b/c..jpg", "thumbs/1.png", "猫/图.jpg", "./cats/1.jpg"])
def test_what_people_made_is_not(name: str) -> None:
    assert not ignored(name)


@pytest.mark.parametrize(
    "name",
    [
        "../x.jpg",
        "a/../../x.jpg",
        "/etc/x.jpg",
        "C:/x.jpg",
        "c:x.jpg",
        "..\\x.jpg",
        "a\\..\\x.jpg",
        "\\\\host\\x.jpg",
        "a\0.jpg",
        "..",
    ],
)
def test_names_that_lead_out_are_unsafe(name: str) -> None:
    assert unsafe(name)


@pytest.mark.parametrize(
    "name", ["a/b.jpg", "a..b/c.jpg", "...jpg", "CON.jpg", "%2e%2e/x.jpg", "<img onerror>.jpg", ":b.jpg"]
)
def test_odd_names_are_only_names(name: str) -> None:
    assert not unsafe(name)


@given(st.text())
def test_what_passes_as_safe_stays_inside_however_it_is_split(name: str) -> None:
    if not unsafe(name):
        assert not name.startswith(("/", "\\"))
        assert ".." not in name.replace("\\", "/").split("/")


def test_numbers_sort_by_value_and_capitals_beside_small_letters() -> None:
    said = ["b", "A10", "a2", "a1", "10", "9", "a02"]
    assert sorted(said, key=natural) == ["9", "10", "a1", "a02", "a2", "A10", "b"]


@given(st.lists(st.text()))
def test_any_names_have_an_order_that_does_not_depend_on_where_they_stood(said: list[str]) -> None:
    backwards = said[::-1]
    assert sorted(said, key=natural) == sorted(backwards, key=natural)


def test_a_number_of_five_thousand_digits_sorts_too() -> None:
    assert sorted(["9" * 5000, "1" + "0" * 5000], key=natural)[0] == "9" * 5000


def test_a_table_may_write_a_name_with_backslashes_capitals_or_composed_letters() -> None:
    assert folded(".\\Cats\\CAFE\u0301.JPG") == folded("cats/caf\u00e9.jpg") == "cats/caf\u00e9.jpg"


def test_empty_and_dot_parts_are_no_folders() -> None:
    assert parts("./a//b/.") == ("a", "b")


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_chinese_names_are_read_in_both_encodings_that_windows_and_macs_write(encoding: str) -> None:
    said = ["数据/健康/叶片1.jpg", "数据/锈病/叶片2.jpg", "readme.txt"]
    assert readable([name.encode(encoding) for name in said]) == said


@pytest.mark.parametrize("name", ["café/ü.jpg", "Überraschung/straße.png", "niño/1.jpg", "Ångström.png"])
def test_western_names_in_the_zip_formats_own_code_page_are_not_taken_for_chinese(name: str) -> None:
    assert readable([name.encode("cp437")]) == [name]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_utf_8_names_come_back_whatever_they_say(said: list[str]) -> None:
    assert readable([name.encode() for name in said]) == said


@given(st.lists(st.binary()))
def test_any_bytes_become_text(raw: list[bytes]) -> None:
    texts = readable(raw)
    assert len(texts) == len(raw)
    assert all(text.encode() for text in texts if text)
