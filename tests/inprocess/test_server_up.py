"""`covey-server up` as a program of its own, on loopback."""

import asyncio
import hashlib
import signal
import socket
import ssl
from pathlib import Path

import grpc
import pytest

from protocol.envelope import seal_message
from protocol.generated.management_pb2 import Empty, EncryptedMessage, LoginRequest, PeerSystemMeta
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.generated.signalexchange_pb2_grpc import SignalExchangeStub
from protocol.join_link import JoinLink
from protocol.keys import PrivateKey, PublicKey
from server.signal.service import PEER_ID, PEER_REGISTERED
from tests.inprocess.programs import join_link, run, server, up_arguments

pytestmark = pytest.mark.timeout(360)


async def pinned_channel(link: JoinLink) -> grpc.aio.Channel:
    """As a helper with this join link does it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(link.server.hosts[0], link.server.port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert hashlib.sha256(der).digest() == link.server.fingerprint
    credentials = grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(der).encode())
    options = [("grpc.ssl_target_name_override", "covey-server")]
    return grpc.aio.secure_channel(f"{link.server.hosts[0]}:{link.server.port}", credentials, options)


async def get(port: int, path: str, tls: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def joined(channel: grpc.aio.Channel, setup_key: str) -> str:
    """Log a new machine in, and give its key as signal wants it."""
    own, management = PrivateKey.generate(), ManagementServiceStub(channel)
    server_key = PublicKey.from_text((await management.GetServerKey(Empty())).key)
    login = LoginRequest(setupKey=setup_key, meta=PeerSystemMeta(hostname="alice"))
    await management.Login(EncryptedMessage(wgPubKey=own.public.text, body=seal_message(login, own, server_key)))
    return own.public.text


async def test_a_server_comes_up_answers_and_stops_cleanly_with_open_streams(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with server(data_dir) as process:
        assert data_dir.stat().st_mode & 0o777 == 0o700
        answer = await join_link(data_dir, "--with-setup-key")
        link = JoinLink.parse(answer["link"])
        assert link.setup_key
        assert link.server.fingerprint == bytes.fromhex(answer["fingerprint"])
        web = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        web.check_hostname, web.verify_mode = False, ssl.CERT_NONE
        web.set_alpn_protocols(["h2", "http/1.1"])
        assert b'"status":"ok"' in await get(link.server.port, "/api/health", web)
        assert b"use https://" in await get(link.server.port, "/", None)
        async with await pinned_channel(link) as channel:
            assert await ManagementServiceStub(channel).isHealthy(Empty()) == Empty()
            peer = await joined(channel, link.setup_key)
            stream = SignalExchangeStub(channel).ConnectStream(metadata=((PEER_ID, peer),))
            assert PEER_REGISTERED in dict(await stream.initial_metadata())
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_restart_keeps_fingerprint_and_keys(tmp_path: Path) -> None:
    fingerprints, server_keys = set(), set()
    for _ in range(2):
        async with server(tmp_path / "data"):
            answer = await join_link(tmp_path / "data")
            fingerprints.add(answer["fingerprint"])
            async with await pinned_channel(JoinLink.parse(answer["link"])) as channel:
                server_keys.add((await ManagementServiceStub(channel).GetServerKey(Empty())).key)
    assert len(fingerprints) == len(server_keys) == 1


async def test_a_plain_server_says_so_in_its_join_link(tmp_path: Path) -> None:
    async with server(tmp_path / "data", "--plaintext"):
        answer = await join_link(tmp_path / "data")
        link = JoinLink.parse(answer["link"])
        assert not link.server.tls
        assert answer["fingerprint"] is None
        assert b'"status":"ok"' in await get(link.server.port, "/api/health", None)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{link.server.port}") as channel:
            assert await ManagementServiceStub(channel).isHealthy(Empty()) == Empty()


async def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with server(tmp_path / "data"):
        code, _, err = await run(*up_arguments(tmp_path / "data"))
        assert code == 1
        assert "another covey-server runs on" in err
        assert "Traceback" not in err


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        for option, hint in (("--listen", "--listen"), ("--listen-turn", "")):
            code, out, err = await run(*up_arguments(tmp_path / "data", option, f"127.0.0.1:{port}"))
            assert (code, out) == (1, "")
            assert str(port) in err
            assert hint in err
            assert "Traceback" not in err


async def test_a_damaged_certificate_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    files = ("--certificate", str(tmp_path / "cert.pem"), "--certificate-key", str(tmp_path / "cert.pem"))
    code, _, err = await run(*up_arguments(tmp_path / "data", *files))
    assert code == 1
    assert "holds no certificate" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("join-link", "--data-dir", "absent"), ("join-link", "--data-dir", "absent", "--json")])
async def test_join_link_without_a_server_says_what_to_do(arguments: tuple[str, ...]) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (1, "")
    assert "covey-server up" in err
