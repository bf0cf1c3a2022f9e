"""What the server makes of a certificate that it is given, and of its renewal."""

import asyncio
import errno
import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from server import service
from server.certificates import CERTIFICATE, KEY, ServerTls, make_self_signed, own_certificate
from server.config import ServerConfig
from server.reachability import Reachability

ADDRESS = ip_address("203.0.113.10")


async def test_a_full_disk_at_a_renewal_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(service, "write_server_info", fail)
    tls = ServerTls(*own_certificate(tmp_path, [ADDRESS]))
    before, look_again = tls.certificate, asyncio.Event()
    reachability = Reachability((ADDRESS,), (), 443, 3478, before.fingerprint)
    watching = asyncio.create_task(service._watch_certificate(ServerConfig(data_dir=tmp_path), tls, reachability, look_again))
    for name, content in zip((CERTIFICATE, KEY), make_self_signed([ADDRESS]), strict=True):
        (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / KEY, ns=(1, 1))
    look_again.set()
    async with asyncio.timeout(20):
        while tls.certificate == before:
            await asyncio.sleep(0)
    assert not watching.done()
    assert "No space left on device" in caplog.text
    watching.cancel()


async def test_that_join_links_pin_a_given_certificate_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = own_certificate(tmp_path, [ADDRESS])
    given = ServerConfig(data_dir=tmp_path, certificate=certificate, certificate_key=key)
    assert await service._names(ServerConfig(data_dir=tmp_path), ServerTls(certificate, key), (ADDRESS,)) == ()
    assert not caplog.records
    assert await service._names(given, ServerTls(certificate, key), (ADDRESS,)) == ()
    assert "renewing it cuts off all machines" in caplog.text
