"""What a step frees is there for the next one, and is given back when nobody needs it. Tried in processes of their own."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from core import allocator

ROOT = Path(__file__).resolve().parents[2]
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is steered")
STEPS = """
import json, resource, sys, threading
from core import allocator
kept = allocator.keep_freed() if sys.argv[1] == "kept" else None
told = {"kept": kept}

def mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    blocks = [bytearray(40 * 2**20) for _ in range(5)]
    for block in blocks:
        block[::4096] = bytes(len(block[::4096])).replace(b"\\0", b"x")

def work():
    step()
    before = faults()
    for _ in range(4):
        step()
    told["faults"] = faults() - before

thread = threading.Thread(target=work)
thread.start()
thread.join()
told["rss"] = mb()
allocator.give_back()
told["rss after"] = mb()
print(json.dumps(told))
"""


def said(how: str) -> dict[str, int]:
    command = [sys.executable, "-c", STEPS, how]
    return dict(json.loads(subprocess.run(command, capture_output=True, cwd=ROOT, check=True, timeout=60).stdout))


@glibc
def test_steps_of_a_thread_use_the_same_pages_again() -> None:
    plain, kept = said("plain"), said("kept")
    assert kept["kept"]
    assert plain["faults"] > 4 * 5 * 40 * 2**20 // 4096 / 2
    assert kept["faults"] < plain["faults"] / 5


@glibc
def test_what_is_kept_can_be_given_back() -> None:
    kept = said("kept")
    assert kept["rss"] - kept["rss after"] > 150


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_library", lambda: None)
    assert not allocator.keep_freed()
    allocator.give_back()
