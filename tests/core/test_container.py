"""What a control group leaves of the machine counts, whichever version it is and whichever group around it holds least."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from core import container

GIB = 2**30
V1_NONE = 2**63 - 4096


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Sixteen cores and 64 GiB, of which 40 are free; its control groups lie in a folder."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB, available=40 * GIB))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(container, "ROOT", tmp_path)
    return tmp_path


def groups(root: Path, own: str, files: dict[str, str]) -> None:
    for name, text in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def found() -> tuple[float, float, int]:
    return container.available_bytes() / GIB, container.memory_bytes() / GIB, container.usable_cores()


def test_without_control_groups_the_machine_is_what_there_is() -> None:
    assert found() == (40, 64, 16)


def test_without_limits_in_them_too(machine: Path) -> None:
    groups(machine, "0::/\n", {"memory.max": "max\n", "memory.current": f"{GIB}\n", "cpu.max": "max 100000\n"})
    assert found() == (40, 64, 16)
    v1 = {"memory/memory.limit_in_bytes": f"{V1_NONE}\n", "memory/memory.usage_in_bytes": "5", "cpu/cpu.cfs_quota_us": "-1"}
    groups(machine, "4:memory:/\n1:cpu:/\n", v1)
    assert found() == (40, 64, 16)


def test_a_container_of_docker_counts(machine: Path) -> None:
    """`docker run --memory 4g --cpus 2.5`: its own group is the root that it sees."""
    stat = f"anon {GIB}\nactive_file 7\ninactive_file {GIB // 2}\n"
    groups(
        machine,
        "0::/\n",
        {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": stat, "cpu.max": "250000 100000\n"},
    )
    assert found() == (1.5, 4, 2)


def test_of_a_service_of_systemd_the_tightest_of_all_groups_around_it_counts(machine: Path) -> None:
    groups(
        machine,
        "0::/system.slice/thaw.service\n",
        {
            "system.slice/thaw.service/memory.max": f"{8 * GIB}",
            "system.slice/thaw.service/memory.current": f"{GIB}",
            "system.slice/thaw.service/cpu.max": "max 100000",
            "system.slice/memory.max": f"{10 * GIB}",
            "system.slice/memory.current": f"{6 * GIB}",
            "system.slice/cpu.max": "300000 100000",
        },
    )
    assert found() == (4, 8, 3)


def test_version_one_counts(machine: Path) -> None:
    own = "11:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n0::/docker/ab\n"
    groups(
        machine,
        own,
        {
            "memory/docker/ab/memory.limit_in_bytes": f"{2 * GIB}\n",
            "memory/docker/ab/memory.usage_in_bytes": f"{2 * GIB}\n",
            "memory/docker/ab/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
            "memory/memory.limit_in_bytes": f"{V1_NONE}\n",
            "memory/memory.usage_in_bytes": f"{30 * GIB}\n",
            "cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "150000\n",
            "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "50000\n",
        },
    )
    assert found() == (1, 2, 3)


@pytest.mark.parametrize("own", ["4:memory:/docker/of/the/host\n", "4:memory:/../elsewhere\n"])
def test_a_path_of_the_host_that_is_not_to_be_seen_leaves_the_root_that_is(machine: Path, own: str) -> None:
    groups(machine, own, {"memory/memory.limit_in_bytes": f"{GIB}", "memory/memory.usage_in_bytes": f"{GIB // 4}"})
    assert found() == (0.75, 1, 16)


def test_less_than_nothing_and_less_than_a_core_are_not_told(machine: Path) -> None:
    groups(machine, "0::/\n", {"memory.max": f"{GIB}", "memory.current": f"{2 * GIB}", "cpu.max": "50000 100000"})
    assert found() == (0, 1, 1)


@pytest.mark.parametrize("text", ["", "none of ours", "0::", "0::/\nodd", "x:y"])
def test_what_cannot_be_read_limits_nothing(machine: Path, text: str) -> None:
    groups(machine, text, {"memory.max": "odd", "cpu.max": "1", "memory.stat": "odd"})
    assert found() == (40, 64, 16)


def test_more_than_the_machine_has_is_not_to_be_had(machine: Path) -> None:
    groups(machine, "0::/\n", {"memory.max": f"{100 * GIB}", "memory.current": "0", "cpu.max": "9900000 100000"})
    assert found() == (40, 64, 16)
