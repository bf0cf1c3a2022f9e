"""The bodies of requests that are not `UpRequest`s, read with suspicion. Pure. Each raises UsageError naming what is wrong."""

from typing import Any

from protocol.errors import UsageError
from protocol.local_api import MAX_TEXT, UpRequest


def place_of(data: Any) -> UpRequest:
    """`{"management_url"}`, `{"join_link"}` or `{}`: a server, or the one that is known."""
    return _only(UpRequest.from_json(data), data, "management_url", "join_link")


def token_of(data: Any) -> str:
    """`{"jwt"}`."""
    token = _only(UpRequest.from_json(data), data, "jwt").jwt
    if token is None:
        raise UsageError("The request lacks the field jwt.")
    return token


def name_of(data: Any) -> str:
    """`{"name"}`, of a profile."""
    match data:
        case {"name": str(name), **rest} if not rest and len(name) <= MAX_TEXT:
            return name
        case _:
            raise UsageError("The request does not hold the field name, a text, and nothing else.")


def _only(request: UpRequest, data: dict[str, Any], *names: str) -> UpRequest:
    for name in data:
        if name not in names:
            raise UsageError(f"The request has a field that does not belong here: {name}.")
    return request
