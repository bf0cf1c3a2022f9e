"""Errors on gRPC: a status code that NetBird's clients understand, and trailing metadata that ours read.

PERMISSION_DENIED is the code that makes a client ask its person for a login, so nothing else uses it.
"""

from collections.abc import Iterable
from urllib.parse import quote, unquote

import grpc

from protocol.errors import (
    ClockOff,
    CoveyError,
    LoginNeeded,
    LoginRefused,
    SetupKeyMalformed,
    SignInNotOffered,
    SignInUnavailable,
    error_from_wire,
)

CODE_KEY, HINT_KEY = "covey-error", "covey-hint"


def status_of(error: CoveyError) -> grpc.StatusCode:
    """The gRPC code for an error of ours."""
    if isinstance(error, SetupKeyMalformed | ClockOff):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, SignInNotOffered):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, SignInUnavailable):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, LoginNeeded | LoginRefused):
        return grpc.StatusCode.PERMISSION_DENIED
    return grpc.StatusCode.INTERNAL


def trailing_metadata(error: CoveyError) -> tuple[tuple[str, str], ...]:
    """What goes with the status: code and hint; the sentence is the status's details."""
    return ((CODE_KEY, error.code), (HINT_KEY, quote(error.hint, safe=" ,.:;`'()<>/-")))


def error_of(details: str, metadata: Iterable[tuple[str, str | bytes]]) -> CoveyError | None:
    """The error of ours that a failed call carries, or None if it carries none."""
    found = {key: value for key, value in metadata if isinstance(value, str)}
    code = found.get(CODE_KEY)
    return error_from_wire(code, details, unquote(found.get(HINT_KEY, ""))) if code else None
