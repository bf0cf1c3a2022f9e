from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.login.renewal import FIRST_RETRY, LAST_RETRY, Renewal, Session, session_of
from tests.unit.helper.local_api.scripted import NEVER, status_document

DAY, HOUR = 86400.0, 3600.0
SESSION = Session("default", "alice@example.org", DAY)


@pytest.mark.parametrize(("life", "before"), [(DAY, 0.1 * DAY), (2 * HOUR, 720), (HOUR, 600), (900, 450), (60, 30), (0, 0)])
def test_a_session_is_renewed_well_before_its_end(life: float, before: float) -> None:
    renewal = Renewal()
    renewal.saw(replace(SESSION, expires_at=1000 + life), 1000)
    assert renewal.due_at == 1000 + life - before


def test_a_session_that_is_seen_again_changes_nothing() -> None:
    renewal = Renewal()
    renewal.saw(SESSION, 0)
    due = renewal.due_at
    renewal.saw(SESSION, DAY / 2)
    assert renewal.due_at == due


def test_a_session_that_ended_while_the_machine_slept_is_renewed_at_once() -> None:
    renewal = Renewal()
    renewal.saw(SESSION, 0)
    renewal.saw(replace(SESSION, has_ended=True), 2 * DAY)
    assert renewal.due_at == 2 * DAY


def test_what_does_not_answer_is_asked_less_and_less_often() -> None:
    renewal, waits = Renewal(), []
    renewal.saw(SESSION, 0)
    for _ in range(7):
        renewal.failed(SESSION, 0)
        waits.append(renewal.due_at)
    assert waits == [FIRST_RETRY, 60, 120, 240, 480, LAST_RETRY, LAST_RETRY]
    newer = replace(SESSION, expires_at=2 * DAY)
    renewal.saw(newer, DAY)
    renewal.failed(newer, DAY)
    assert renewal.due_at == DAY + FIRST_RETRY


def test_a_refusal_is_final_until_another_session_is_seen() -> None:
    renewal = Renewal()
    renewal.saw(SESSION, 0)
    renewal.refused(SESSION)
    renewal.saw(SESSION, DAY)
    assert renewal.due_at is None
    renewal.saw(replace(SESSION, expires_at=3 * DAY), 2 * DAY)
    assert renewal.due_at == 2.9 * DAY


def test_what_came_of_a_former_session_does_not_matter() -> None:
    renewal = Renewal()
    newer = replace(SESSION, expires_at=2 * DAY)
    renewal.saw(newer, DAY)
    due = renewal.due_at
    renewal.refused(SESSION)
    renewal.renewed(SESSION, DAY)
    renewal.failed(SESSION, DAY)
    assert renewal.due_at == due


def test_without_a_session_there_is_nothing_to_do() -> None:
    renewal = Renewal()
    assert renewal.due_at is None
    renewal.saw(SESSION, 0)
    renewal.saw(None, 1)
    assert renewal.due_at is None


@given(st.floats(0, 1e10), st.floats(0, 1e10))
def test_it_is_due_between_now_and_the_end(now: float, life: float) -> None:
    renewal = Renewal()
    renewal.saw(replace(SESSION, expires_at=now + life), now)
    assert renewal.due_at is not None
    assert now <= renewal.due_at <= now + life


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Session("default", "a@b", 1746399721.0)),
        ({"daemonStatus": "Connecting"}, Session("default", "a@b", 1746399721.0)),
        ({"daemonStatus": "NeedsLogin"}, Session("default", "a@b", 1746399721.0, has_ended=True)),
        (
            {"daemonStatus": "NeedsLogin", "sessionExpiresAt": "0001-01-01T00:00:00Z"},
            Session("default", "a@b", 0.0, has_ended=True),
        ),
        ({"email": ""}, None),
        ({"daemonStatus": "Idle"}, None),
        ({"daemonStatus": "LoginFailed"}, None),
        ({"sessionExpiresAt": NEVER}, None),
        ({"sessionExpiresAt": "soon"}, None),
    ],
)
def test_the_session_is_read_from_the_status(changes: dict[str, str], expected: Session | None) -> None:
    status = {**status_document(), "email": "a@b", "sessionExpiresAt": "2025-05-04T23:02:01Z", **changes}
    assert session_of(status) == expected  # type: ignore[arg-type]
