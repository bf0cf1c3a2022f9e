import dataclasses
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from server.management import ManagementService
from server.management.local_networks import networks_in_use
from server.store import open_store
from server.store.addresses import SHARED_SPACE
from server.store.errors import NetworkRangeRefused
from tests.unit.server.management.conftest import SETTINGS

OFFICE = IPv4Network("10.92.0.0/16")


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch) -> list[IPv4Network]:
    """What this machine uses, for the test to fill."""
    networks: list[IPv4Network] = []

    async def answer() -> list[IPv4Network]:
        return networks

    monkeypatch.setattr("server.management.service.networks_in_use", answer)
    return networks


async def start(data_dir: Path, network: IPv4Network | None) -> IPv4Network | None:
    settings = dataclasses.replace(SETTINGS, network=network)
    async with open_store(data_dir) as store, ManagementService(store, settings):
        return (await store.account()).network


async def test_the_first_start_draws_a_range_that_later_ones_keep(tmp_path: Path, in_use: list[IPv4Network]) -> None:
    first = await start(tmp_path, None)
    assert first is not None
    assert first.subnet_of(SHARED_SPACE)

    in_use.append(first)  # as a helper on this machine does

    assert await start(tmp_path, None) == first


async def test_a_configured_range_that_this_machine_uses_is_refused(tmp_path: Path, in_use: list[IPv4Network]) -> None:
    in_use.append(IPv4Network("10.92.7.0/24"))
    with pytest.raises(NetworkRangeRefused):
        await start(tmp_path, OFFICE)


async def test_a_configured_range_is_compared_only_when_it_is_new(tmp_path: Path, in_use: list[IPv4Network]) -> None:
    assert await start(tmp_path, OFFICE) == OFFICE
    in_use.append(OFFICE)
    assert await start(tmp_path, OFFICE) == OFFICE
    assert await start(tmp_path, None) == OFFICE


async def test_the_machine_tells_its_networks_without_loopback_and_default_route() -> None:
    networks = await networks_in_use()
    assert all(network.prefixlen > 0 and not network.is_loopback for network in networks)
