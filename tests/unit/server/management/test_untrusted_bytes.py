"""Nothing that a stranger sends makes a call fail in a way that was not foreseen."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.envelope import seal
from protocol.generated.management_pb2 import EncryptedMessage
from protocol.keys import PrivateKey
from tests.unit.server.management.conftest import Clock, Server, running

PRIVATE_KEY = PrivateKey(bytes(range(1, 33)))
REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION}

envelopes = st.builds(
    EncryptedMessage,
    wgPubKey=st.one_of(st.text(max_size=60), st.just(PRIVATE_KEY.public.text), st.just("A" * 43 + "=")),
    body=st.binary(max_size=200),
    version=st.integers(-5, 5),
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data", Clock()) as server:
        yield server


@pytest.mark.parametrize("method", ["Login", "Sync", "SyncMeta", "Logout"])
async def test_junk_and_junk_that_is_sealed_well_get_a_plain_refusal(
    server: Server, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine = server.machine()
    server_key = await machine.server_key()
    examples: list[EncryptedMessage] = []

    @settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(envelopes, st.binary(min_size=1, max_size=100))  # an empty one is a logout, which anybody may call
    def draw(envelope: EncryptedMessage, plaintext: bytes) -> None:
        sealed = seal(plaintext, PRIVATE_KEY, server_key)
        examples.extend((envelope, EncryptedMessage(wgPubKey=PRIVATE_KEY.public.text, body=sealed)))

    draw()
    for example in examples:
        call = getattr(machine.stub, method)(example)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if method == "Sync" else call)
        assert caught.value.code() in REFUSALS
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
