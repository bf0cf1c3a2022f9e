"""A session's end, and the servers that it is told of."""

import asyncio
import io
import pathlib
import zipfile
from types import SimpleNamespace

import pytest

from helper.engine.engine import Engine, Options
from helper.http_proxy.way import WayOut
from helper.settings import StateFolder
from protocol.errors import ServerUnreachable
from protocol.generated.management_pb2 import HostConfig, NetbirdConfig
from protocol.http_proxy import HttpProxy
from protocol.local_api import UpRequest
from tests.unit.helper.clients.servers import closed_port
from tests.unit.helper.engine.conftest import Machine, Server, in_state, started, token, until


async def test_a_session_ends_even_if_whoever_asked_for_it_gives_up_during_the_goodbyes(tmp_path: pathlib.Path) -> None:
    saying = asyncio.Event()

    async def say_goodbye() -> None:
        saying.set()
        await asyncio.Event().wait()

    folder = StateFolder(tmp_path / "state")
    engine = Engine(folder, Options("covey-test"))
    session = asyncio.create_task(asyncio.Event().wait())
    supervisor = engine._supervisor
    supervisor.session, supervisor.task = SimpleNamespace(say_goodbye=say_goodbye), session  # type: ignore[assignment]
    ending = asyncio.create_task(engine.stop())
    await saying.wait()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await asyncio.wait([session])
    assert session.cancelled()
    folder.close()


async def test_an_empty_list_of_servers_leaves_those_that_are_known(
    engine: Engine, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tokens.add(token())
    await engine.up(UpRequest(join_link=server.link, jwt=token()))
    session = engine._supervisor.session
    assert session is not None
    assert session.parts is not None
    told: list[object] = []
    monkeypatch.setattr(session.parts.network, "set_stun_servers", told.append)
    monkeypatch.setattr(session.parts.relay, "configure", lambda servers, _: told.append(servers))
    session._configure(NetbirdConfig())
    assert told == []
    session._configure(NetbirdConfig(stuns=[HostConfig(uri="stun:127.0.0.1:3478")]))
    assert len(told) == 1


async def test_a_taken_port_is_exchanged_though_the_disk_is_full(
    machine: Machine, server: Server, tmp_path: pathlib.Path
) -> None:
    state = tmp_path / "state"
    async with started(state) as engine:
        server.tokens.add(token())
        await engine.up(UpRequest(join_link=server.link, jwt=token()))
    machine.taken.add(machine.opened[-1].port)
    (state / "settings.json.new").mkdir()
    async with started(state) as engine:
        await until(engine, in_state("Connected"))
    assert machine.opened[-1].port not in machine.taken


async def test_nobody_is_told_the_proxys_password(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    word, proxy = "hush-7-hush", f"http://alice@127.0.0.1:{closed_port()}"
    way = WayOut({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helper.engine.engine.WAY_OUT", way)
        patch.setattr("helper.clients.race.WAY_OUT", way)
        engine.prefer({"proxy": proxy, "proxy_password": word})
        assert way.proxy == HttpProxy.parse(proxy).with_password(word)
        with pytest.raises(ServerUnreachable) as caught:
            await engine.up(UpRequest("https://vpn.invalid"))
        with zipfile.ZipFile(io.BytesIO(await engine.bundle(include_names=True))) as archive:
            told = b"".join(archive.read(name) for name in archive.namelist()).decode()
    told += f"{engine.preferences()} {engine.status()} {list(engine.recorder.events())} {caught.value} {caplog.text}"
    assert proxy in str(engine.preferences())
    assert "straight: the proxy" in told
    assert word not in told
    assert HttpProxy.parse(proxy).with_password(word).authorization not in told
