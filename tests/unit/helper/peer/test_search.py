"""Port searches between two pure cores, over simulated NATs on a virtual clock."""

import pytest

from helper.peer.events import State
from tests.support.simulation import Host, World, meet


def is_direct(*hosts: Host) -> bool:
    return all(host.kind == "direct" and host.connection.state is State.CONNECTED for host in hosts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("nats", [("port", "symmetric"), ("symmetric", "port")])
def test_a_port_restricted_and_a_symmetric_nat_are_passed(nats: tuple[str, str], seed: int) -> None:
    world = World(seed=seed)
    alice, bob = meet(world, *nats)
    assert world.run(5, lambda: is_direct(alice, bob))
    world.run(20)
    assert is_direct(alice, bob)
