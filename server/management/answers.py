"""How a call ends when it cannot be answered: the one place where errors become gRPC codes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from protocol.errors import CoveyError
from protocol.grpc_errors import status_of, trailing_metadata

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 30.0  # seconds for a peer to take one message off its stream

Context = grpc.aio.ServicerContext[Any, Any]


class CallRefused(Exception):
    """The call itself is wrong, which no person can help: a code of gRPC and a sentence for a log."""

    def __init__(self, code: grpc.StatusCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@asynccontextmanager
async def answering(context: Context, method: str) -> AsyncIterator[None]:
    """Turn what is raised inside into a status. What nobody foresaw is logged here and told to nobody else."""
    try:
        yield
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except CallRefused as refusal:
        await context.abort(refusal.code, str(refusal))
    except CoveyError as error:
        await context.abort(status_of(error), str(error), trailing_metadata(error))
    except Exception:
        if context.cancelled() or context.done():
            log.debug("%s: the caller went away", method, exc_info=True)
        else:
            log.exception("%s failed", method)
        await context.abort(grpc.StatusCode.INTERNAL, "the server failed to handle this call; its log says why")


async def write(context: Context, message: Any) -> None:
    """Send a message of a stream. Raises CallRefused if the peer does not read."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await context.write(message)
    except TimeoutError:
        raise CallRefused(grpc.StatusCode.UNAVAILABLE, "this peer did not read its messages in time") from None
