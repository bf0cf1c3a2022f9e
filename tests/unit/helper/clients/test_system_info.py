import ipaddress
import platform

import pytest

from helper.clients import system_info
from helper.clients.system_info import MAX_ADDRESSES, MAX_TEXT, system_meta
from helper.netmon.snapshot import LocalAddress
from helper.preferences import DEFAULTS
from protocol.local_api import Preferences

ADDRESSES = [
    LocalAddress("eth0", ipaddress.ip_address("192.168.1.5"), 24),
    LocalAddress("eth0", ipaddress.ip_address("2001:db8::5"), 64),
    LocalAddress("wlan0", ipaddress.ip_address("192.168.1.5"), 24),
]


def test_looks_like_a_netbird_client_that_wants_the_plain_network_map() -> None:
    meta = system_meta("alice", ADDRESSES)
    assert (meta.hostname, meta.netbirdVersion, list(meta.capabilities), meta.syncMessageVersion) == ("alice", "0.77.1", [1], 0)
    assert meta.goOS == platform.system().lower()
    assert [address.netIP for address in meta.networkAddresses] == ["192.168.1.5/24", "2001:db8::5/64"]
    assert meta.coveyVersion
    assert meta.OS


def test_the_same_machine_says_the_same_in_any_order() -> None:
    assert system_meta("alice", ADDRESSES) == system_meta("alice", reversed(ADDRESSES))


def test_the_hostname_is_never_empty_and_never_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system_meta(None, []).hostname
    assert system_meta(" \n", []).hostname
    assert len(system_meta("x" * 5000, []).hostname) == MAX_TEXT
    assert system_meta("al\0i\nce\udc80", []).hostname == "alice"
    monkeypatch.setattr(system_info.socket, "gethostname", lambda: "")
    assert system_meta(None, []).hostname == "unnamed"


def test_the_number_of_addresses_is_bounded() -> None:
    many = [LocalAddress("eth0", ipaddress.ip_address(0x0A000000 + n), 8) for n in range(500)]
    assert len(system_meta("alice", many).networkAddresses) == MAX_ADDRESSES


def test_a_machine_without_os_release_still_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    system_info._machine.cache_clear()
    try:
        assert platform.system() == system_meta("alice", []).OS
    finally:
        system_info._machine.cache_clear()


def test_what_the_person_does_not_want_is_said_and_nothing_else() -> None:
    wanted: Preferences = {**DEFAULTS, "wireguard_port": 51820, "mtu": 1420}
    assert system_meta("alice", [], wanted) == system_meta("alice", [])
    flags = system_meta("alice", [], {**wanted, "disable_routes": True}).flags
    assert (flags.disableClientRoutes, flags.disableServerRoutes, flags.disableDNS) == (True, False, False)
    assert system_meta("alice", [], {**wanted, "disable_dns": True}).flags.disableDNS
