"""A real interface in a namespace."""

import asyncio
import ipaddress
from collections.abc import Iterator

import pytest

from helper.interface.interface import Interface, open_interface
from helper.interface.state import InterfaceState, differences, wanted_state
from tests.unit.helper.netmon.namespaces import INTERFACE, inside, ip, namespace, needs_root

pytestmark = [pytest.mark.lab, needs_root]

ADDRESS = ipaddress.ip_interface("100.92.0.1/16")
BOB = ipaddress.ip_network("100.92.0.2/32")


@pytest.fixture
def alone() -> Iterator[str]:
    with namespace("i") as name, inside(name):
        ip("-n", name, "tuntap", "add", INTERFACE, "mode", "tun")
        yield name


async def repaired(interface: Interface, wanted: InterfaceState) -> None:
    """Take every step until nothing is different."""
    for _ in range(3):
        actual = await interface.look()
        assert actual is not None
        await interface.apply(differences(wanted, actual))
    actual = await interface.look()
    assert actual is not None
    assert differences(wanted, actual) == []


async def test_whatever_others_change_is_put_right_and_theirs_stays(alone: str) -> None:
    wanted = wanted_state(ADDRESS, 1280, {BOB: 1216})
    async with open_interface(INTERFACE) as interface:
        await repaired(interface, wanted)
        ip("-n", alone, "route", "add", "192.0.2.0/24", "dev", INTERFACE)
        for change in (
            ("addr", "flush", "dev", INTERFACE),
            ("link", "set", INTERFACE, "down"),
            ("link", "set", INTERFACE, "mtu", "1400"),
            ("route", "del", str(ADDRESS.network), "dev", INTERFACE),
            ("route", "del", str(BOB), "dev", INTERFACE),
        ):
            ip("-n", alone, *change)
            async with asyncio.timeout(60):
                await interface.changed()
            await repaired(interface, wanted)
            assert "100.92.0.2 dev" in ip("-n", alone, "route")
        ip("-n", alone, "route", "add", "192.0.2.0/24", "dev", INTERFACE)
        await repaired(interface, wanted_state(ADDRESS, 1280, {}))
        assert "192.0.2.0/24" in ip("-n", alone, "route")
        assert "100.92.0.2" not in ip("-n", alone, "route")
        ip("-n", alone, "link", "del", INTERFACE)
        assert await interface.look() is None
