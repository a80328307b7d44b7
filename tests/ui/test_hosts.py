"""Under which names the server answers, and which of them reach this machine only."""

import socket

import pytest

from ui import hosts


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.8.7", "::1"])
def test_these_reach_this_machine_only(name: str) -> None:
    assert hosts.is_local(name)


@pytest.mark.parametrize(
    "name", ["0.0.0.0", "::", "192.168.1.20", "example.org", "", "127.0.0.1.evil.example", "2130706433"]
)
def test_others_can_reach_these(name: str) -> None:
    assert not hosts.is_local(name)


def test_a_local_server_answers_to_local_names_only() -> None:
    assert hosts.names("127.0.0.1") == ["127.0.0.1", "localhost"]


def test_a_server_on_all_addresses_answers_to_all_of_the_machines_own_and_to_what_is_added() -> None:
    names = hosts.names("0.0.0.0", ["Thaw.School.example"])
    assert {"localhost", "127.0.0.1", "0.0.0.0", "thaw.school.example", socket.gethostname().lower()} <= set(names)
    assert set(hosts.own_addresses()) <= set(names)
    assert "*" not in names


def test_a_server_on_one_address_does_not_answer_to_another() -> None:
    assert "192.168.7.8" in hosts.names("192.168.7.8")
    assert not set(hosts.own_addresses()) - {"192.168.7.8"} & set(hosts.names("192.168.7.8"))


def test_an_own_address_is_never_the_loopback() -> None:
    assert not any(hosts.is_local(one) for one in hosts.own_addresses())
