import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.engine.lease import GRACE, Lease, Message
from helper.engine.status import iso
from protocol.generated.management_pb2 import ExtendAuthSessionResponse, LoginResponse, SyncResponse

END = 1_900_000_000


def saying(end: int | None, kind: type[Message] = SyncResponse) -> Message:
    message = kind()
    if end is not None:
        message.sessionExpiresAt.seconds = end
        message.sessionExpiresAt.nanos = 0
        message.sessionExpiresAt.SetInParent()
    return message


@pytest.mark.parametrize("kind", [LoginResponse, SyncResponse, ExtendAuthSessionResponse])
def test_absent_keeps_zero_is_never_and_else_it_is_the_end(kind: type[Message]) -> None:
    lease = Lease()
    assert not lease.hear(saying(None, kind), 0)
    assert lease.hear(saying(END, kind), 0)
    assert not lease.hear(saying(None, kind), 0)
    assert lease.ends == END
    assert lease.hear(saying(0, kind), 0)
    assert lease.ends is None


@pytest.mark.parametrize("end", [-1, -(2**63), 253_402_300_800, 2**63 - 1])
def test_times_that_no_calendar_has_are_passed_over(end: int) -> None:
    lease = Lease(END)
    assert not lease.hear(saying(end), 0)
    assert lease.ends == END


def test_a_session_without_end_never_ends() -> None:
    assert not Lease().has_ended(1e12, is_connected=False)


def test_without_a_server_the_end_is_the_end() -> None:
    lease = Lease(END)
    assert not lease.has_ended(END - 0.001, is_connected=False)
    assert lease.has_ended(END, is_connected=False)


def test_a_connected_server_may_speak_first_and_is_believed_when_it_has() -> None:
    lease = Lease(END)
    lease.hear(saying(END), END - 60)
    assert not lease.has_ended(END + GRACE - 0.001, is_connected=True)
    assert lease.has_ended(END + GRACE, is_connected=True)
    lease.hear(saying(None), END + 5)
    assert not lease.has_ended(END + 3600, is_connected=True)
    assert lease.has_ended(END + 3600, is_connected=False)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_timestamp_is_an_end_that_can_be_shown(seconds: int, nanos: int) -> None:
    message = SyncResponse()
    message.sessionExpiresAt.seconds, message.sessionExpiresAt.nanos = seconds, nanos
    lease = Lease()
    lease.hear(message, 0)
    assert iso(lease.ends or 0).endswith("Z")
