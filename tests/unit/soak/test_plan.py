"""Plans of endurance runs."""

import pytest

from tests.soak.plan import CALM, NATURES, QUALITIES, SERVER_UNTIL, STORM, UNKILLED, Fault, Kind, Planner

HOMES = {"m1": "home", "m2": "office", "m3": "home"}
SITES = ("home", "office", "hotel")


def plan(seed: int, seconds: float = 1800.0) -> list[Fault]:
    return Planner(seed, HOMES, SITES).plan(seconds)


def test_the_same_seed_makes_the_same_faults_and_another_seed_others() -> None:
    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


@pytest.mark.parametrize("seed", range(20))
def test_every_fault_can_be(seed: int) -> None:
    places, until = dict(HOMES), dict[str, float]()
    faults = plan(seed)
    for fault in faults:
        line = "line " if fault.kind in QUALITIES else ""
        assert until.get(line + fault.target, 0.0) <= fault.at, f"{fault} meets a target that is not done with another"
        until[line + fault.target] = fault.at + fault.seconds
        if fault.kind is Kind.MOVE:
            assert fault.other != places[fault.target]
            places[fault.target] = fault.other
        if fault.kind is Kind.ONE_WAY:
            assert fault.other != fault.target
    assert "m1" not in {fault.target for fault in faults if fault.kind is Kind.KILL}
    assert UNKILLED == 1


def test_every_kind_of_fault_comes() -> None:
    assert {fault.kind for seed in range(3) for fault in plan(seed)} == set(NATURES)


@pytest.mark.parametrize("seed", range(20))
def test_every_storm_is_followed_by_a_calm_and_the_server_is_left_alone_at_the_end(seed: int) -> None:
    for fault in plan(seed):
        assert (fault.at + fault.seconds) % (STORM + CALM) <= STORM + 0.1
        if fault.nature.target == "server":
            assert fault.at <= 1800 * SERVER_UNTIL
