"""The audit log: a line for each act, never cut, never mixed; old files rotate and the oldest go."""

import json
import stat
import sys
import threading
from pathlib import Path

import pytest

from core.gate import Audit, audit


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_line_says_who_did_what_and_when(tmp_path: Path) -> None:
    log = Audit(tmp_path)
    assert log.write("run_made", {"run": "01J"}, who="小明\n\u202e", person="ab12")
    (line,) = lines(log.file)
    assert line.pop("at").endswith("+00:00")  # type: ignore[attr-defined]
    assert line == {"act": "run_made", "who": "小明\n\u202e", "person": "ab12", "run": "01J"}
    assert log.file.read_bytes().count(b"\n") == 1
    assert "小明" in log.file.read_text("utf-8"), "a person reads it, too"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_only_the_servers_own_user_can_read_it(tmp_path: Path) -> None:
    log = Audit(tmp_path)
    log.write("x", {})
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


def test_lines_of_many_threads_and_two_logs_of_one_folder_stay_whole(tmp_path: Path) -> None:
    logs = [Audit(tmp_path), Audit(tmp_path)]

    def write(number: int) -> None:
        for turn in range(10):
            logs[number % 2].write("x", {"number": number, "turn": turn})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((int(one["number"]), int(one["turn"])) for one in lines(logs[0].file)) == [  # type: ignore[call-overload]
        (number, turn) for number in range(8) for turn in range(10)
    ]


def test_files_rotate_at_their_size_and_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 1000)
    log = Audit(tmp_path)
    for number in range(200):
        assert log.write("x", {"number": number})
    files = sorted(tmp_path.glob("audit*.jsonl"))
    assert len(files) == 1 + audit.KEPT
    assert all(file.stat().st_size <= 1000 for file in files)
    order = [tmp_path / f"audit.{n}.jsonl" for n in range(audit.KEPT, 0, -1)] + [log.file]
    numbers = [one["number"] for file in order for one in lines(file)]
    assert numbers == list(range(200 - len(numbers), 200))


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    assert Audit(tmp_path / "not there").write("x", {}) is False


def test_the_newest_lines_are_read_first_across_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Audit(tmp_path)
    assert log.read() == ([], 0)
    monkeypatch.setattr(audit, "MOST_BYTES", 400)
    for number in range(20):
        log.write("x", {"number": number})
    assert len(list(tmp_path.glob("audit*.jsonl"))) > 3
    for skip in range(0, 21, 7):
        found, total = log.read(skip, 7)
        assert (total, [line["number"] for line in found]) == (20, list(range(19 - skip, max(12 - skip, -1), -1)))


def test_a_line_that_was_cut_harms_no_other(tmp_path: Path) -> None:
    log = Audit(tmp_path)
    log.write("a", {})
    with log.file.open("a") as out:
        out.write('{"act": "cut\n[1]\n')
    log.write("b", {"deep": {"x": 1}})  # type: ignore[dict-item]
    found, total = log.read()
    assert ([line["act"] for line in found], total) == (["b", "a"], 4)
    assert "deep" not in found[0]
