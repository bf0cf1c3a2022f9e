"""Signing in, and what becomes of the tunnel when the session ends."""

import logging
import pathlib
import uuid

import pytest

from helper.engine.engine import Engine
from protocol.errors import (
    GivenUp,
    LoginNeeded,
    ServerUnreachable,
    SessionExpired,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
    UserBlocked,
)
from protocol.generated.management_pb2 import PKCEAuthorizationFlow, ProviderConfig
from protocol.local_api import UpRequest
from tests.unit.helper.engine.conftest import Clock, Machine, Server, in_state, started, token, until

ALICE = 1000
END = 1_900_000_000
EXPIRED = SessionExpired("peer login has expired, please log in once more")


async def sign_in(engine: Engine, server: Server, uid: int | None = ALICE, jwt: str = "") -> None:
    jwt = jwt or token()
    server.tokens.add(jwt)
    await engine.up(UpRequest(join_link=server.link, jwt=jwt), uid)


async def test_a_sign_in_connects_and_says_who_and_until_when(engine: Engine, server: Server, machine: Machine) -> None:
    server.name_end(END)
    await sign_in(engine, server)
    status = engine.status()
    assert (status["daemonStatus"], status["email"]) == ("Connected", "alice@example.org")
    assert status["sessionExpiresAt"] == "2030-03-17T17:46:40.000Z"
    assert engine.owner() == ALICE
    assert [login.jwtToken for login in server.logins] == [token()]
    assert machine.open == 1


async def test_who_signed_in_is_known_after_a_restart(machine: Machine, server: Server, tmp_path: pathlib.Path) -> None:
    server.name_end(END)
    async with started(tmp_path / "state") as engine:
        await sign_in(engine, server)
    async with started(tmp_path / "state") as engine:
        status = await until(engine, in_state("Connected"))
        assert (status["email"], engine.owner()) == ("alice@example.org", ALICE)
        assert status["sessionExpiresAt"].startswith("2030-03-17")


async def test_the_token_stays_in_no_file_and_no_log(
    engine: Engine, server: Server, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await sign_in(engine, server)
        for refused in (engine.up(UpRequest(jwt=token(2))), engine.extend_session(token(2))):
            with pytest.raises(SignInRefused) as caught:
                await refused
            assert "signature" not in str(caught.value)
    assert "signature" not in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"signature" in path.read_bytes()]


async def test_root_signs_in_for_the_machine_and_again_for_whoever_it_was(engine: Engine, server: Server) -> None:
    await sign_in(engine, server, uid=None)
    assert (engine.owner(), engine.status()["email"]) == (None, "alice@example.org")
    await sign_in(engine, server, ALICE, token(2))
    await sign_in(engine, server, None, token(3))
    assert engine.owner() == ALICE
    await sign_in(engine, server, None, token(4, email="bob@example.org"))
    assert (engine.owner(), engine.status()["email"]) == (None, "bob@example.org")


async def test_a_machine_that_a_setup_key_lets_in_is_nobody_s(engine: Engine, server: Server) -> None:
    await sign_in(engine, server)
    server.setup_key = str(uuid.uuid4())
    server.known.clear()
    await engine.up(UpRequest(setup_key=server.setup_key, hostname="other"))
    assert (engine.owner(), engine.status()["email"]) == (None, "")


async def test_an_up_without_a_sign_in_changes_nothing_about_who_it_was(engine: Engine, server: Server) -> None:
    await sign_in(engine, server)
    await engine.down()
    await engine.up(UpRequest(), 1001)
    assert (engine.owner(), engine.status()["email"]) == (ALICE, "alice@example.org")


async def test_leaving_forgets_who_it_was(engine: Engine, server: Server) -> None:
    server.name_end(END)
    await sign_in(engine, server)
    await engine.logout()
    status = engine.status()
    assert (engine.owner(), status["email"], status["sessionExpiresAt"]) == (None, "", "0001-01-01T00:00:00Z")


async def test_a_refused_sign_in_leaves_the_tunnel_that_is_up(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server)
    for error in (UserBlocked("alice@example.org is blocked"), SignInUnavailable("the provider is silent")):
        server.refusal = error
        with pytest.raises(type(error)):
            await engine.up(UpRequest(jwt=token(2)), ALICE)
    assert engine.status()["daemonStatus"] == "Connected"
    assert (len(machine.opened), engine.owner()) == (1, ALICE)


async def test_signing_in_again_renews_the_session_and_keeps_the_tunnel(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server)
    server.name_end(END)
    await sign_in(engine, server, ALICE, token(2))
    assert engine.status()["sessionExpiresAt"].startswith("2030-03-17")
    assert (len(machine.opened), len(server.logins)) == (1, 2)


async def test_a_sign_in_while_the_server_is_away_is_no_success(engine: Engine, server: Server) -> None:
    await sign_in(engine, server)
    await engine.down()
    await server.end()
    with pytest.raises(ServerUnreachable):
        await engine.up(UpRequest(jwt=token(2)), ALICE)
    assert engine.status()["daemonStatus"] == "Idle"


# ---- the flow


async def test_the_flow_is_asked_of_the_server_that_is_meant_or_known(engine: Engine, server: Server) -> None:
    with pytest.raises(LoginNeeded):
        await engine.sign_in_flow(UpRequest())
    with pytest.raises(SignInNotOffered):
        await engine.sign_in_flow(UpRequest(join_link=server.link))
    server.pkce = PKCEAuthorizationFlow(
        ProviderConfig=ProviderConfig(ClientID="covey", TokenEndpoint="https://a/token", AuthorizationEndpoint="https://a/auth")
    )
    flow = await engine.sign_in_flow(UpRequest(join_link=server.link))
    assert (str(flow.to_json()["server"]), flow.device) == (server.link, None)
    assert engine.status()["management"]["url"] == ""
    await sign_in(engine, server)
    assert await engine.sign_in_flow(UpRequest()) == flow


# ---- extending


async def test_extending_keeps_the_tunnel(engine: Engine, server: Server, machine: Machine) -> None:
    server.name_end(END)
    await sign_in(engine, server)
    server.name_end(END + 3600)
    server.tokens.add(token(2))
    assert await engine.extend_session(token(2)) == "2030-03-17T18:46:40.000Z"
    assert engine.status()["sessionExpiresAt"] == "2030-03-17T18:46:40.000Z"
    assert (len(machine.opened), len(server.logins)) == (1, 1)


async def test_signing_in_again_goes_well_where_sessions_never_end(engine: Engine, server: Server, machine: Machine) -> None:
    server.lacks.add("ExtendAuthSession")  # a server refuses to extend what has no end
    await sign_in(engine, server)
    server.tokens.add(token(2))
    assert await engine.extend_session(token(2)) == "0001-01-01T00:00:00Z"
    assert (len(machine.opened), [login.jwtToken for login in server.logins]) == (1, [token(), token(2)])


async def test_a_token_that_perhaps_never_arrived_makes_the_machine_nobody_elses(engine: Engine, server: Server) -> None:
    await sign_in(engine, server)
    server.lose_requests = 1
    await engine.up(UpRequest(jwt=token(2, email="bob@example.org")), ALICE + 1)  # the machine itself is known
    assert (engine.owner(), engine.status()["email"]) == (ALICE, "alice@example.org")


async def test_extending_nowhere_says_so(engine: Engine) -> None:
    with pytest.raises(LoginNeeded):
        await engine.extend_session(token())


async def test_extending_revives_a_session_that_had_ended(engine: Engine, server: Server) -> None:
    await sign_in(engine, server)
    server.keep_out(EXPIRED)
    await until(engine, in_state("NeedsLogin", "session-expired"))
    server.tokens.add(token(2))
    await engine.extend_session(token(2))
    await until(engine, in_state("Connected"))


async def test_extending_does_not_bring_up_what_is_not_wanted(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server)
    await engine.down()
    server.tokens.add(token(2))
    await engine.extend_session(token(2))
    assert (engine.status()["daemonStatus"], machine.open) == ("Idle", 0)


# ---- the end


@pytest.mark.parametrize(
    ("error", "state"),
    [(EXPIRED, "NeedsLogin"), (UserBlocked("alice@example.org is blocked"), "LoginFailed"), (LoginNeeded("who?"), "NeedsLogin")],
)
async def test_a_definite_no_ends_the_tunnel_and_signing_in_brings_it_back(
    engine: Engine, server: Server, machine: Machine, error: Exception, state: str
) -> None:
    await sign_in(engine, server)
    server.keep_out(error)  # type: ignore[arg-type]
    status = await until(engine, in_state(state, error.code))  # type: ignore[attr-defined]
    assert status["error"] is not None
    assert status["error"]["sentence"] == str(error)
    assert status["email"] == "alice@example.org"
    while machine.open:
        await until(engine, lambda _: True)
    with pytest.raises(type(error)):
        await engine.up(UpRequest())
    await sign_in(engine, server, ALICE, token(2))
    assert engine.status()["daemonStatus"] == "Connected"


async def test_a_provider_that_is_silent_signs_nobody_out(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server)
    server.keep_out(SignInUnavailable("the provider does not answer"))
    await until(engine, in_state("Connecting"))
    server.keeps_out = None
    await until(engine, in_state("Connected"))
    assert len(machine.opened) == 1


async def test_an_end_that_passes_while_the_server_is_away_is_shown_and_ends_nothing(
    engine: Engine, server: Server, machine: Machine, clock: Clock
) -> None:
    server.name_end(int(clock.now) + 60)
    await sign_in(engine, server)
    await server.end()
    await until(engine, in_state("Connecting"))
    clock.now += 61
    status = await until(engine, in_state("NeedsLogin", "session-expired"))
    assert status["error"] is not None
    assert "has ended" in status["error"]["sentence"]
    assert machine.open == 1
    server.session_end = int(clock.now) + 3600
    await server.begin()
    await until(engine, in_state("Connected"))
    assert len(machine.opened) == 1


async def test_waking_up_after_the_end_shows_it_at_once_whatever_the_connection_looks_like(
    engine: Engine, server: Server, clock: Clock
) -> None:
    server.name_end(int(clock.now) + 60)
    await sign_in(engine, server)
    server.is_silent = True
    clock.now += 8 * 3600
    await until(engine, in_state("NeedsLogin", "session-expired"))


async def test_a_server_whose_clock_is_behind_is_asked_and_believed(engine: Engine, server: Server, clock: Clock) -> None:
    server.name_end(int(clock.now) + 60)
    await sign_in(engine, server)
    logins = len(server.logins)
    clock.now += 3600
    await until(engine, lambda _: len(server.logins) > logins)
    await until(engine, in_state("Connected"))


async def test_a_server_that_is_asked_at_the_end_ends_it(engine: Engine, server: Server, machine: Machine, clock: Clock) -> None:
    server.name_end(int(clock.now) + 60)
    await sign_in(engine, server)
    server.keeps_out = EXPIRED  # its stream is still open
    clock.now += 3600
    status = await until(engine, lambda status: "expired" in str(status["error"]))
    assert status["daemonStatus"] == "NeedsLogin"


async def test_an_end_from_before_a_restart_is_shown_until_the_server_has_spoken(
    machine: Machine, server: Server, clock: Clock, tmp_path: pathlib.Path
) -> None:
    server.name_end(int(clock.now) + 60)
    async with started(tmp_path / "state") as engine:
        await sign_in(engine, server)
    await server.end()
    clock.now += 61
    async with started(tmp_path / "state") as engine:
        assert in_state("NeedsLogin", "session-expired")(engine.status())
        server.session_end = None
        await server.begin()
        assert (await until(engine, in_state("Connected")))["sessionExpiresAt"].startswith("0001")


async def test_an_up_that_waits_for_a_change_of_account_is_given_up(engine: Engine, server: Server) -> None:
    engine.add_profile("work")
    memory = engine._memory
    await engine.use_profile("work")
    with pytest.raises(GivenUp):
        await engine._up(memory, UpRequest(join_link=server.link, jwt=token()), ALICE)
    assert server.logins == []
