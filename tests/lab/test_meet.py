"""Two machines meet, in every network there is: real server, real helpers, real WireGuard."""

import pytest

from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_two_machines_meet(lab: Lab, scenario: Scenario) -> None:
    meeting = Meeting(lab, scenario.build(lab))
    meeting.check_pings()
    meeting.settle(scenario.paths)
    meeting.check_copies()
    meeting.settle(scenario.paths)
    meeting.check_status()
    meeting.check_relays(scenario.transports)
    meeting.check_server_restart()
    meeting.check_pings()
    meeting.check_down()


def test_two_machines_meet_over_a_server_without_tls(lab: Lab) -> None:
    meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab), plaintext=True)
    meeting.check_pings()
    meeting.settle(SCENARIOS["two-nats"].paths)
