import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state import AppState, Doing
from app.tray.notices import LOST_AFTER, MAX_TEXT, Kind, Notice, Notices
from protocol.errors import HelperNotRunning
from tests.unit.app.tray.values import NOW, answering, silent
from tests.unit.helper.local_api.scripted import link, peer

IDLE = answering(daemon="Idle")
UP = answering(peer())
CONNECTING = answering(daemon="Connecting")
OUTAGE = answering(peer(), daemon="Connecting")  # of the server: the peer is still there
SIGN_IN = answering(daemon="NeedsLogin", management=link(error="no answer"))
GONE = AppState().missed(HelperNotRunning("No helper listens."))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def said(*script: tuple[float, AppState]) -> list[tuple[float, Kind]]:
    """What is said when: each line of the script is a time in seconds and the state from then on."""
    notices = Notices()
    return [(at, notice.kind) for at, state in script for notice in notices.handle(state, later(at))]


def test_connected_is_said_once() -> None:
    assert said((0, IDLE), (1, CONNECTING), (2, UP), (3, UP)) == [(2, Kind.CONNECTED)]
    assert said((0, IDLE), (1, UP), (2, IDLE), (3, UP)) == [(1, Kind.CONNECTED)]


def test_a_tunnel_that_was_up_before_the_app_started_is_no_news() -> None:
    assert said((0, AppState()), (1, UP), (2, UP)) == []
    assert said((0, GONE), (9, UP)) == []


def test_each_account_is_said_once() -> None:
    other = answering(peer(), profile="work")
    assert said((0, IDLE), (1, UP), (2, IDLE), (3, other)) == [(1, Kind.CONNECTED), (3, Kind.CONNECTED)]


@pytest.mark.parametrize("lost", [CONNECTING, silent(UP), GONE, answering(daemon="LoginFailed")])
def test_lost_for_half_a_minute_and_back_again_are_said(lost: AppState) -> None:
    script = [(0.0, UP), (10.0, lost), (39.0, lost), (40.0, lost), (50.0, lost), (60.0, UP), (61.0, UP)]
    assert said(*script) == [(40, Kind.LOST), (60, Kind.BACK)]


def test_a_short_loss_is_not_worth_a_word() -> None:
    assert said((0, UP), (1, CONNECTING), (LOST_AFTER, CONNECTING), (LOST_AFTER + 0.9, UP)) == []


def test_an_outage_of_the_server_loses_nothing() -> None:
    assert said((0, UP), (10, OUTAGE), (100, OUTAGE), (110, UP)) == []


@pytest.mark.parametrize("meant", [IDLE, UP.begun(Doing.DISCONNECTING), CONNECTING.begun(Doing.SWITCHING)])
def test_what_somebody_wanted_is_no_loss(meant: AppState) -> None:
    assert said((0, UP), (1, meant), (2, IDLE), (100, IDLE)) == []


def test_sign_in_needed_is_said_once_where_it_does_not_go_silently() -> None:
    assert said((0, UP), (10, SIGN_IN), (14, SIGN_IN), (15, SIGN_IN), (60, SIGN_IN)) == [(15, Kind.SIGN_IN_NEEDED)]
    assert said((0, SIGN_IN), (5, SIGN_IN)) == [(5, Kind.SIGN_IN_NEEDED)]
    assert said((0, UP), (10, SIGN_IN), (12, UP), (13, SIGN_IN), (16, SIGN_IN)) == []
    assert said(*[(float(at), SIGN_IN.begun(Doing.SIGNING_IN)) for at in range(60)]) == []


def test_a_machine_that_was_never_set_up_is_left_in_peace() -> None:
    assert said((0, answering(daemon="NeedsLogin", management=link("", "no answer")))) == []


def session(ends: float) -> AppState:
    """Connected, with a session that ends so many seconds after NOW."""
    return answering(peer(), sessionExpiresAt=later(ends).isoformat())


DAY = 86400


def test_a_long_session_is_warned_of_a_day_and_ten_minutes_before() -> None:
    state = session(7 * DAY)
    script = [(float(at), state) for at in range(0, 7 * DAY + 100, 50)]
    assert said(*script) == [(6 * DAY, Kind.SESSION_ENDS), (7 * DAY - 600, Kind.SESSION_ENDS)]


def test_a_session_of_a_day_is_warned_of_once() -> None:
    state = session(DAY - 1)
    assert said((0, IDLE), *[(float(at), state) for at in range(1, DAY, 100)])[1:] == [(DAY - 599, Kind.SESSION_ENDS)]


def test_renewal_in_time_means_no_warning() -> None:
    before, renewed = session(DAY - 1), session(2 * DAY - 700)
    assert said((0, before), (DAY - 700, before), (DAY - 700, renewed), (DAY - 100, renewed)) == []


def test_an_app_that_starts_ten_minutes_before_the_end_says_so() -> None:
    assert said((0, session(300)), (1, session(300))) == [(0, Kind.SESSION_ENDS)]
    assert said((0, session(DAY - 60))) == []


def test_waking_up_after_both_warnings_says_one() -> None:
    assert said((0, session(3 * DAY)), (3 * DAY - 60, session(3 * DAY))) == [(3 * DAY - 60, Kind.SESSION_ENDS)]
    assert said((0, session(3 * DAY)), (3 * DAY + 60, session(3 * DAY))) == []


def test_what_is_said_has_a_title_and_a_text() -> None:
    notices = Notices()
    notices.handle(IDLE, NOW)
    assert notices.handle(UP, NOW) == [
        Notice(Kind.CONNECTED, "Covey is connected", "This machine is alice.covey.internal, 100.92.0.1.")
    ]


def test_a_command_that_is_still_under_way_hides_nothing() -> None:
    notices = Notices()
    notices.handle(IDLE, NOW)
    (first,) = notices.handle(UP.begun(Doing.CONNECTING), NOW)
    assert "onnecting" not in first.text
    notices.handle(GONE, later(1))
    notices.handle(GONE, later(40))
    assert notices.handle(UP.begun(Doing.CONNECTING), later(50)) == [
        Notice(Kind.BACK, "Connected again", "Connected, 1 of 1 peers.")
    ]


STATES = st.sampled_from([AppState(), IDLE, UP, CONNECTING, OUTAGE, SIGN_IN, GONE, silent(UP), session(500), session(5 * DAY)])


@given(st.lists(st.tuples(st.floats(0, 1e6), STATES), max_size=40))
def test_in_any_order_of_events_lost_and_back_alternate(script: Iterable[tuple[float, AppState]]) -> None:
    kinds = [kind for _, kind in said(*sorted(script, key=lambda step: step[0])) if kind in (Kind.LOST, Kind.BACK)]
    for before, after in itertools.pairwise(kinds):
        assert before is Kind.LOST or after is Kind.LOST
        assert (before, after) != (Kind.BACK, Kind.BACK)


@given(st.text(max_size=3000))
def test_hostile_reasons_are_cut_and_plain(text: str) -> None:
    broken = answering(daemon="Connecting", error={"code": "x", "sentence": text, "hint": ""})
    notices = Notices()
    notices.handle(UP, NOW)
    notices.handle(broken, NOW)
    for notice in notices.handle(broken, later(60)):
        assert len(notice.text) <= MAX_TEXT + 2
        assert "\n" not in notice.text
