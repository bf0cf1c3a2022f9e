import pytest

from app.state import Doing, Failure, Helper, moment
from protocol.errors import CoveyError, HelperNotRunning, NoPermission, TimedOut
from tests.unit.app.tray.values import NOW, answering, silent, status

AT = NOW.timestamp()
FAILURE = Failure("server-unreachable", "No answer.", "Check it.")


def test_a_helper_that_answers_late_stays_silent_until_it_answers_in_time() -> None:
    state = silent(answering()).told(status(daemon="Idle"), AT + 9)
    assert (state.helper, state.heard) == (Helper.SILENT, AT + 9)
    assert state.status is not None
    assert state.status["daemonStatus"] == "Idle"
    assert state.answered(AT + 10).helper is Helper.ANSWERING


@pytest.mark.parametrize(
    ("error", "helper"),
    [
        (HelperNotRunning("No helper listens."), Helper.MISSING),
        (NoPermission("You may not."), Helper.MISSING),
        (CoveyError("What answers is no helper."), Helper.ANSWERING),
    ],
)
def test_without_a_helper_nothing_is_known_of_the_tunnel(error: CoveyError, helper: Helper) -> None:
    state = answering().missed(error)
    assert (state.helper, state.status, state.profiles) == (helper, None, None)
    assert state.fault == Failure.of(error)
    assert state.told(status(), AT).fault is None


def test_a_failure_is_forgotten_when_the_next_command_begins_or_the_tunnel_is_up() -> None:
    failed = answering(daemon="Idle").begun(Doing.CONNECTING).ended(FAILURE)
    assert failed.failure == FAILURE
    assert failed.told(status(daemon="Idle"), AT).failure == FAILURE
    assert failed.told(status(), AT).failure is None
    assert failed.begun(Doing.CONNECTING).failure is None


def test_a_failure_carries_sentence_and_hint() -> None:
    assert Failure.of(TimedOut("Not in time.", "Wait.")) == Failure("timed-out", "Not in time.", "Wait.")


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", "soon", "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_never(text: str) -> None:
    assert moment(text) is None


def test_times_are_read_in_any_zone() -> None:
    assert moment("2026-05-04T14:00:00+02:00") == NOW
