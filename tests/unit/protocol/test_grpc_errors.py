import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import (
    ClockOff,
    CoveyError,
    LoginNeeded,
    NoPermission,
    SessionExpired,
    SetupKeyExpired,
    SetupKeyMalformed,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
    TimedOut,
    UserBlocked,
)
from protocol.grpc_errors import CODE_KEY, error_of, status_of, trailing_metadata

OURS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CoveyError)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SetupKeyMalformed("no"), grpc.StatusCode.INVALID_ARGUMENT),
        (SetupKeyExpired("no"), grpc.StatusCode.PERMISSION_DENIED),
        (LoginNeeded("no"), grpc.StatusCode.PERMISSION_DENIED),
        (SessionExpired("no"), grpc.StatusCode.PERMISSION_DENIED),
        (SignInRefused("no"), grpc.StatusCode.PERMISSION_DENIED),
        (UserBlocked("no"), grpc.StatusCode.PERMISSION_DENIED),
        (ClockOff("no"), grpc.StatusCode.INVALID_ARGUMENT),  # the same token again would not help either
        (SignInNotOffered("no"), grpc.StatusCode.NOT_FOUND),  # what NetBird's clients take for "there is no such flow"
        (SignInUnavailable("no"), grpc.StatusCode.UNAVAILABLE),
        (NoPermission("no"), grpc.StatusCode.INTERNAL),  # about this machine: no login would help
        (TimedOut("no"), grpc.StatusCode.INTERNAL),
        (CoveyError("no"), grpc.StatusCode.INTERNAL),
    ],
)
def test_a_client_is_asked_to_sign_in_only_where_that_helps(error: CoveyError, status: grpc.StatusCode) -> None:
    assert status_of(error) is status


@pytest.mark.parametrize("kind", OURS)
def test_every_error_survives_a_call(kind: type[CoveyError]) -> None:
    arrived = error_of("It failed.", trailing_metadata(kind("It failed.")))
    assert type(arrived) is kind
    assert (str(arrived), arrived.hint) == ("It failed.", kind("").hint)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_hint_passes_as_printable_ascii(hint: str) -> None:
    metadata = trailing_metadata(CoveyError("It failed.", hint))
    assert all(value.isascii() and value.isprintable() for _, value in metadata)
    arrived = error_of("It failed.", metadata)
    assert arrived is not None
    assert arrived.hint == hint


@pytest.mark.parametrize("metadata", [[], [("grpc-message", "x")], [(CODE_KEY, b"usage")], [(CODE_KEY, "")]])
def test_a_call_without_our_metadata_carries_no_error_of_ours(metadata: list[tuple[str, str | bytes]]) -> None:
    assert error_of("It failed.", metadata) is None


@given(st.text(), st.lists(st.tuples(st.sampled_from([CODE_KEY, "covey-hint", "other"]), st.text() | st.binary())))
def test_whatever_a_server_sends_is_an_error_or_none(details: str, metadata: list[tuple[str, str | bytes]]) -> None:
    error = error_of(details, metadata)
    assert error is None or str(error) == details
