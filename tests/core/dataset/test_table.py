"""A table is found by its columns, in any common dialect, and every row that leads nowhere is listed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset.table import Rows, as_split, read_tables

FILES = ["images/1.jpg", "images/2.jpg", "images/10.jpg"]


def labels(text: str | bytes, files: list[str] = FILES, name: str = "labels.csv") -> dict[str, tuple[str, str | None]]:
    rows = read_tables([(name, text.encode() if isinstance(text, str) else text)], files)
    return dict(rows.labels) if rows else {}


def skipped(text: str, files: list[str] = FILES) -> list[tuple[str, str, object]]:
    rows = read_tables([("labels.csv", text.encode())], files)
    assert isinstance(rows, Rows)
    return [(left.name, left.code, left.values.get("row")) for left in rows.skipped]


EXPECTED = {"images/1.jpg": ("cat", None), "images/2.jpg": ("dog", None)}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_separators_line_ends_and_a_mark_at_the_start_do_not_matter(mark: str, end: str, start: bytes) -> None:
    text = end.join(
        f"file{mark}label" if row == 0 else f"images/{row}.jpg{mark}{'catdog'[3 * row - 3 : 3 * row]}" for row in range(3)
    )
    assert labels(start + text.encode()) == EXPECTED


@pytest.mark.parametrize(
    "header",
    [
        "filename,label", "File Name,Class", "IMAGE,Category", "path,species", "image_id,dx", "img-path,class name",
        "id,breed", "图片,类别", "文件名,标签", "name,target",
    ],
)  # fmt: skip
def test_columns_are_known_by_their_names(header: str) -> None:
    assert labels(f"{header}\nimages/1.jpg,cat\nimages/2.jpg,dog\n") == EXPECTED


def test_the_columns_may_stand_anywhere() -> None:
    assert labels("age,label,sex,file\n3,cat,f,images/1.jpg\n4,dog,m,images/2.jpg\n") == EXPECTED


@pytest.mark.parametrize(
    "said", ["images/1.jpg", "./images/1.jpg", "images\\1.jpg", "1.jpg", "1", "IMAGES/1.JPG", "data/images/1.jpg"]
)
def test_a_file_is_found_by_path_name_or_stem(said: str) -> None:
    assert labels(f"file,label\n{said},cat\n") == {"images/1.jpg": ("cat", None)}


def test_a_path_is_read_from_where_the_table_lies() -> None:
    files = ["a/1.jpg", "b/1.jpg"]
    assert labels("file,label\n1.jpg,cat\n", files, "b/labels.csv") == {"b/1.jpg": ("cat", None)}
    assert labels("file,label\na/1.jpg,cat\n", ["root/a/1.jpg", "root/b/1.jpg"], "labels.csv") == {
        "root/a/1.jpg": ("cat", None)
    }


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert labels("file,label\ncaf\u00e9.jpg,cat\n", ["cafe\u0301.jpg"]) == {"cafe\u0301.jpg": ("cat", None)}


def test_twins_that_differ_in_capitals_alone_are_told_apart() -> None:
    assert labels("file,label\na.JPG,cat\na.jpg,dog\n", ["a.jpg", "a.JPG"]) == {
        "a.JPG": ("cat", None),
        "a.jpg": ("dog", None),
    }


def test_names_with_separators_quotes_and_line_ends_are_data() -> None:
    files = ['a,"b".jpg', "c.jpg"]
    assert labels('file,label\n"a,""b"".jpg","big, ""black"" cat"\nc.jpg,"two\nlines"\n', files) == {
        'a,"b".jpg': ('big, "black" cat', None), "c.jpg": ("two\nlines", None),
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_chinese_labels_are_read_in_the_encodings_that_spreadsheets_write(encoding: str) -> None:
    text = "文件,标签\nimages/1.jpg,健康\nimages/2.jpg,锈病\n".encode(encoding)
    assert labels(text) == {"images/1.jpg": ("健康", None), "images/2.jpg": ("锈病", None)}


def test_labels_are_read_as_western_spreadsheets_write_them() -> None:
    assert labels("file;label\n1.jpg;Rührei\n2.jpg;“crème”\n".encode("cp1252")) == {
        "images/1.jpg": ("Rührei", None),
        "images/2.jpg": ("“crème”", None),
    }


def test_zeros_in_the_text_do_not_matter() -> None:
    assert labels("fi\0le,la\0bel\n1.jpg,c\0at\n2.jpg,dog\n") == EXPECTED


def test_a_path_that_is_exact_goes_before_a_name_that_fits() -> None:
    files = ["1.jpg", "x/1.jpg", "x/y/1.jpg"]
    assert labels("file,label\nx/1.jpg,cat\n", files) == {"x/1.jpg": ("cat", None)}
    assert labels("file,label\n1.jpg,cat\n", files, "x/labels.csv") == {"x/1.jpg": ("cat", None)}
    assert labels("file,label\ny/1.jpg,cat\n", files) == {"x/y/1.jpg": ("cat", None)}
    assert labels("file,label\nx/1.jpg,cat\n", files, "z/labels.csv") == {"x/1.jpg": ("cat", None)}


def test_a_split_column_is_respected() -> None:
    text = "file,label,split\n1.jpg,cat,Training\n2.jpg,dog,valid\n10.jpg,dog,TEST\n"
    assert labels(text) == {
        "images/1.jpg": ("cat", "train"),
        "images/2.jpg": ("dog", "val"),
        "images/10.jpg": ("dog", "test"),
    }


def test_words_for_a_split_that_nobody_knows_are_counted() -> None:
    text = "file,label,split\n1.jpg,cat,train\n2.jpg,dog,fold 3\n10.jpg,dog,fold 3\n7.jpg,dog,\n"
    rows = read_tables([("labels.csv", text.encode())], FILES)
    assert rows
    assert +rows.strange == {"fold 3": 2}


def test_tables_named_after_splits_give_them() -> None:
    tables = [("train.csv", b"file,label\n1.jpg,cat\n"), ("test.csv", b"file,label\n2.jpg,dog\n")]
    rows = read_tables(tables, FILES)
    assert rows is not None
    assert rows.labels == {"images/1.jpg": ("cat", "train"), "images/2.jpg": ("dog", "test")}


def test_without_a_header_two_columns_are_a_file_and_its_class() -> None:
    assert labels("1.jpg,cat\n2.jpg,dog\n") == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a,b\n1,2\n",
        "file,width\n1.jpg,3\n",
        "file,label\nnowhere.jpg,cat\n",
        "\0\0\0",
        '"',
        "path,noisy_labels_0\n1.jpg,cat\n",
    ],
)
def test_a_table_without_files_and_classes_is_no_table(text: str) -> None:
    assert read_tables([("x.csv", text.encode())], FILES) is None


def test_rows_that_lead_nowhere_are_listed_with_their_number() -> None:
    text = "file,label\n1.jpg,cat\n9.jpg,cat\n2.jpg,\n,dog\n\n../../etc/passwd,cat\n"
    assert skipped(text) == [
        ("9.jpg", "data.missing_file", 3), ("images/2.jpg", "data.no_label", 4), ("?", "data.missing_file", 5),
        ("../../etc/passwd", "data.missing_file", 7),
    ]  # fmt: skip


def test_without_a_header_the_first_row_is_row_one() -> None:
    assert skipped("1.jpg,cat\n\n9.jpg,cat\n") == [("9.jpg", "data.missing_file", 3)]


def test_rows_that_break_off_are_listed_and_empty_ones_are_passed_over() -> None:
    text = "split,file,label\ntrain,1.jpg\ntrain\n,,\ntrain,2.jpg,dog\n,7.jpg\n"
    assert skipped(text) == [("images/1.jpg", "data.no_label", 2), ("7.jpg", "data.missing_file", 6)]
    assert labels(text) == {"images/2.jpg": ("dog", "train")}
    rows = read_tables([("labels.csv", text.encode())], FILES)
    assert rows is not None
    assert [left.values["name"] for left in rows.skipped] == ["images/1.jpg", "7.jpg"]


def test_a_name_that_fits_two_files_is_listed_and_guessed_by_nobody() -> None:
    assert skipped("file,label\na/1.jpg,cat\n1.jpg,cat\n", ["a/1.jpg", "b/1.jpg"]) == [("1.jpg", "data.ambiguous_file", 3)]


def test_a_file_with_two_classes_is_kept_out_and_one_said_twice_is_not() -> None:
    text = "file,label\n1.jpg,cat\n1.jpg,dog\n2.jpg,dog\n2.jpg,dog\n"
    assert labels(text) == {"images/2.jpg": ("dog", None)}
    assert skipped(text) == [("images/1.jpg", "data.two_labels", None)]


def test_two_tables_that_disagree_keep_the_file_out() -> None:
    rows = read_tables([("a.csv", b"file,label\n1.jpg,cat\n2.jpg,cat\n"), ("b.csv", b"file,label\n1.jpg,dog\n")], FILES)
    assert rows is not None
    assert rows.labels == {"images/2.jpg": ("cat", None)}


def test_a_file_that_two_splits_claim_is_kept_for_the_test() -> None:
    table = "file,label\nimages/1.jpg,cat\n"
    for order in (("test", "train", "val"), ("train", "val", "test")):
        rows = read_tables([(f"{split}.csv", table.encode()) for split in order], FILES)
        assert rows is not None
        assert rows.labels == {"images/1.jpg": ("cat", "test")}
    assert labels("file,label,split\n1.jpg,cat,val\n1.jpg,cat,train\n") == {"images/1.jpg": ("cat", "val")}


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("TRAINING", "train"), ("valid", "val"), ("Validation", "val"), ("dev", "val"), ("testing", "test"),
     ("测试集", "test"), ("trains", None), ("", None)],
)  # fmt: skip
def test_splits_have_many_names(name: str, split: str | None) -> None:
    assert as_split(name) == split


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_not(data: bytes) -> None:
    rows = read_tables([("x.csv", data)], FILES)
    assert rows is None or set(rows.labels) <= set(FILES)


@given(st.lists(st.tuples(st.sampled_from(["1.jpg", "2.jpg", "10.jpg", "no.jpg", ""]), st.text(max_size=5)), max_size=20))
def test_every_row_with_something_in_it_is_used_or_listed(said: list[tuple[str, str]]) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["file", "label"])
    writer.writerows(said)
    rows = read_tables([("x.csv", out.getvalue().encode("utf-8", "replace"))], FILES)
    if rows:
        spoken = set(rows.labels) | {left.name for left in rows.skipped}
        assert {f"images/{file}" if file != "no.jpg" else file for file, _ in said if file} <= spoken
