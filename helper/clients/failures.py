"""What a failed gRPC call means to us."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import grpc.aio

from protocol.errors import CoveyError, LoginNeeded, ServerUnreachable, SessionExpired
from protocol.grpc_errors import error_of

MAX_WORDS = 300  # characters of a server's own words that we repeat; ours
TOKEN = re.compile(r"eyJ[\w=-]{8,}(\.[\w=-]*)*")  # a JWT begins with {" in base64 (RFC 7519)
EXPIRED = "peer login has expired"  # how NetBird's server says it


def words_of(error: grpc.aio.AioRpcError) -> str:
    """The server's own words, on one line and of bounded length, and without a token that they may repeat."""
    text = TOKEN.sub("(a token)", error.details() or "")
    text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()[:MAX_WORDS] or error.code().name.lower().replace("_", " ")


def carried_error(error: grpc.aio.AioRpcError) -> CoveyError | None:
    """The error of ours that the call carries, if it says more than that something went wrong inside the server."""
    metadata = [(str(key), value) for key, value in error.trailing_metadata() or ()]
    found = error_of(words_of(error), metadata)
    return None if found is None or type(found) is CoveyError else found


def denial_of(error: grpc.aio.AioRpcError, server: str) -> CoveyError:
    """The error behind PERMISSION_DENIED: the server's own, or a login that is needed."""
    if (found := carried_error(error)) is not None:
        return found
    words = words_of(error)
    if EXPIRED in words.lower():
        return SessionExpired(f"the session at {server} has ended: {words}")
    return LoginNeeded(f"{server} does not know this machine: {words}")


def failure_of(error: grpc.aio.AioRpcError, server: str) -> CoveyError:
    """What a person gets to read: the server's own error, a login that is needed, or a server that does not serve now."""
    if (found := carried_error(error)) is not None:
        return found
    match error.code():
        case grpc.StatusCode.PERMISSION_DENIED:
            return denial_of(error, server)
        case grpc.StatusCode.UNAVAILABLE:
            return ServerUnreachable(f"the connection to {server} is lost: {words_of(error)}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerUnreachable(f"{server} did not answer in time")
        case grpc.StatusCode.UNIMPLEMENTED:
            return ServerUnreachable(f"{server} does not offer this service; is it a Covey or NetBird server?")
        case code:
            return ServerUnreachable(
                f"{server} failed to answer ({code.name.lower()}): {words_of(error)}",
                "Try again; if it persists, whoever runs the server should look at its log.",
            )


@contextmanager
def losses_told(server: str) -> Iterator[None]:
    """Turn every way in which a connection ends under a call into ServerUnreachable; other statuses pass through.

    gRPC cancels whoever waits for a call when its channel closes. That is a lost connection, no wish to end this task.
    """
    try:
        yield
    except TimeoutError:
        raise ServerUnreachable(f"{server} did not answer in time") from None
    except grpc.aio.UsageError:  # the channel had been closed
        raise ServerUnreachable(f"the connection to {server} was closed") from None
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
            raise failure_of(error, server) from None
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ServerUnreachable(f"the connection to {server} was closed") from None
