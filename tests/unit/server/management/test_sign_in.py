"""Persons' machines, through gRPC as helpers do it: who gets in, for how long, and what ends it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from joserfc.jwk import KeySet

from protocol.envelope import open_message
from protocol.errors import (
    ClockOff,
    CoveyError,
    LoginNeeded,
    SessionExpired,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
    UserBlocked,
)
from protocol.generated.management_pb2 import (
    DeviceAuthorizationFlow,
    DeviceAuthorizationFlowRequest,
    PKCEAuthorizationFlow,
    PKCEAuthorizationFlowRequest,
    ProviderConfig,
    SyncMetaRequest,
)
from protocol.grpc_errors import error_of
from protocol.sign_in import Provider
from server.identity.keys import Keys
from server.identity.verify import Person, Verifier
from server.store import Role, Store, open_store
from server.store.people import EMBEDDED
from tests.unit.server.identity.tokens import AUDIENCE, EC, ISSUER, claims, key_set, token
from tests.unit.server.management.conftest import SETTINGS, Clock, Machine, Server, Stream, running

DAY = 86400.0
NIL = "00000000-0000-0000-0000-000000000000"
PROVIDER = Provider(
    client_id="covey",
    client_secret="not really secret",
    audience="covey",
    scope="openid email",
    use_id_token=True,
    token_endpoint="https://id.example.org/token",
    authorization_endpoint="https://id.example.org/auth",
    device_auth_endpoint="https://id.example.org/device",
    redirect_urls=("http://127.0.0.1:53000/callback",),
    ask_again="max_age",
)

pytestmark = pytest.mark.usefixtures("brisk")


class Source:
    """A provider that is as far away as a variable."""

    def __init__(self, store: Store, clock: Clock, issuer: str = ISSUER) -> None:
        self.issuer, self.offer, self.is_down = issuer, PROVIDER, False
        self._verifier = Verifier(ISSUER, AUDIENCE, Keys(self._fetch), store.people.spend_jwt, clock=clock)

    async def _fetch(self) -> KeySet:
        return key_set(EC)

    def _answer(self) -> None:
        if self.is_down:
            raise SignInUnavailable("the provider does not answer")

    async def provider(self) -> Provider:
        self._answer()
        return self.offer

    async def verify(self, text: str) -> Person:
        self._answer()
        return await self._verifier.verify(text)


class Company(Server):
    source: Source
    clock: Clock
    numbers: "itertools.count[int]"

    def token(self, person: str = "alice", **changes: Any) -> str:
        """A fresh one."""
        content = {"sub": person, "email": f"{person}@example.org", "jti": str(next(self.numbers))} | changes
        return token(claims(self.clock.now, **content))

    async def laptop(self, hostname: str, person: str = "alice") -> Machine:
        machine = self.machine(hostname)
        await machine.login(token=self.token(person))
        return machine


@pytest.fixture
async def company(tmp_path: Path, clock: Clock) -> AsyncIterator[Company]:
    """A server with an external provider."""
    sources: list[Source] = []

    def source(store: Store) -> Source:
        sources.append(Source(store, clock))
        return sources[0]

    async with running(tmp_path / "company", clock, source=source) as server:
        company = Company(server.store, server.service, server.channel)
        company.source, company.clock, company.numbers = sources[0], clock, itertools.count()
        yield company


async def refusal(call: Any) -> tuple[grpc.StatusCode, CoveyError | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    return error.code(), error_of(error.details() or "", error.trailing_metadata())


async def how_it_ends(stream: Stream) -> CoveyError | None:
    """Read on until the stream fails, and say with what."""

    async def read_on() -> None:
        while not await stream.has_ended():
            pass

    code, error = await refusal(read_on())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    return error


# ---- flows


async def flows(machine: Machine) -> tuple[ProviderConfig, ProviderConfig]:
    key = await machine.server_key()
    pkce = await machine.stub.GetPKCEAuthorizationFlow(machine.sealed(PKCEAuthorizationFlowRequest(), key))
    device = await machine.stub.GetDeviceAuthorizationFlow(machine.sealed(DeviceAuthorizationFlowRequest(), key))
    return (
        open_message(PKCEAuthorizationFlow, pkce.body, machine.private_key, key).ProviderConfig,
        open_message(DeviceAuthorizationFlow, device.body, machine.private_key, key).ProviderConfig,
    )


async def test_strangers_hear_how_to_sign_in(company: Company) -> None:
    pkce, device = await flows(company.machine())

    for config in (pkce, device):
        assert (config.ClientID, config.ClientSecret, config.Audience) == ("covey", "not really secret", "covey")
        assert (config.Scope, config.UseIDToken, config.TokenEndpoint) == ("openid email", True, "https://id.example.org/token")
    assert pkce.AuthorizationEndpoint == "https://id.example.org/auth"
    assert list(pkce.RedirectURLs) == ["http://127.0.0.1:53000/callback"]
    assert (pkce.LoginFlag, pkce.DisablePromptLogin, pkce.DeviceAuthEndpoint) == (1, False, "")
    assert (device.DeviceAuthEndpoint, device.AuthorizationEndpoint) == ("https://id.example.org/device", "")


async def test_without_a_provider_or_without_a_flow_the_answer_is_not_found(company: Company, server: Server) -> None:
    machine = server.machine()
    for stub in (machine.stub.GetPKCEAuthorizationFlow, machine.stub.GetDeviceAuthorizationFlow):
        code, error = await refusal(stub(machine.sealed(PKCEAuthorizationFlowRequest(), await machine.server_key())))
        assert code is grpc.StatusCode.NOT_FOUND
        assert isinstance(error, SignInNotOffered)
    assert isinstance((await refusal(machine.login(token=token())))[1], SignInNotOffered)

    company.source.offer = Provider("covey", "https://id.example.org/token")
    code, error = await refusal(flows(company.machine()))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "by browser" in str(error)


async def test_a_provider_that_is_down_refuses_nobody(company: Company) -> None:
    machine, text, company.source.is_down = company.machine(), company.token(), True
    for call in (flows(machine), machine.login(token=text)):
        code, error = await refusal(call)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert isinstance(error, SignInUnavailable)
    company.source.is_down = False
    await machine.login(token=text)


# ---- login


async def test_a_token_registers_a_machine_and_its_person(company: Company) -> None:
    machine = company.machine("laptop")

    response = await machine.login(NIL, token=company.token())

    assert response.peerConfig.fqdn == "laptop.covey.internal"
    assert response.sessionExpiresAt.seconds == company.clock.now + DAY
    (user,) = await company.store.people.users()
    assert (user.issuer, user.subject, user.email, user.role) == (ISSUER, "alice", "alice@example.org", Role.OWNER)
    peer = await company.store.find_peer(machine.private_key.public)
    assert peer is not None
    assert (peer.user_id, peer.setup_key_id) == (user.id, None)
    first = await (await machine.sync()).next()
    assert first.sessionExpiresAt.seconds == company.clock.now + DAY


async def test_the_first_person_is_the_owner_and_the_others_are_users(company: Company) -> None:
    for person in ("alice", "bob", "carol", "alice"):
        await company.laptop(f"of-{person}", person)
    roles = {user.subject: user.role for user in await company.store.people.users()}
    assert roles == {"alice": Role.OWNER, "bob": Role.USER, "carol": Role.USER}


async def test_a_token_counts_more_than_a_setup_key_and_saves_its_use(company: Company) -> None:
    machine = company.machine()
    await machine.login(await company.setup_key(reusable=False), token=company.token())
    assert [key.used for key in await company.store.setup_keys()] == [0]
    assert (await machine.login()).sessionExpiresAt.seconds == company.clock.now + DAY


async def test_a_machine_of_a_setup_key_never_ends_and_says_so(company: Company) -> None:
    machine = company.machine()
    response = await machine.login(await company.setup_key())
    assert response.HasField("sessionExpiresAt")
    assert response.sessionExpiresAt.seconds == 0
    company.clock.now += 1000 * DAY
    stream = await machine.sync()
    first = await stream.next()
    assert first.HasField("sessionExpiresAt")
    assert first.sessionExpiresAt.seconds == 0

    code, error = await refusal(machine.login(token=company.token()))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "by a setup key" in str(error)


@pytest.mark.parametrize(
    ("changes", "kind", "status"),
    [
        ({"iss": "https://other.example.org"}, SignInRefused, grpc.StatusCode.PERMISSION_DENIED),
        ({"aud": "another-server"}, SignInRefused, grpc.StatusCode.PERMISSION_DENIED),
        ({"exp": 1_700_000_000}, SignInRefused, grpc.StatusCode.PERMISSION_DENIED),
        ({"iat": 1_800_000_000 + 86400}, ClockOff, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_bad_tokens_let_nobody_in(
    company: Company, changes: dict[str, Any], kind: type[CoveyError], status: grpc.StatusCode
) -> None:
    code, error = await refusal(company.machine().login(token=company.token(**changes)))
    assert code is status
    assert type(error) is kind
    assert await company.store.people.users() == []


async def test_one_token_lets_one_machine_in(company: Company) -> None:
    text = company.token()
    machines = [company.machine(f"m{number}") for number in range(20)]
    results = await asyncio.gather(*(machine.login(token=text) for machine in machines), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    _, peers = await company.store.members((await company.store.account()).id)
    assert len(peers) == 1


async def test_another_person_cannot_take_a_machine_over(company: Company) -> None:
    machine = await company.laptop("laptop", "alice")
    for call in (machine.login(token=company.token("bob")), machine.extend(company.token("bob"))):
        code, error = await refusal(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "another person" in str(error)
    await machine.login()


async def test_our_own_provider_knows_only_those_who_are_in_the_store(tmp_path: Path, clock: Clock) -> None:
    async with running(tmp_path / "own", clock, source=lambda store: Source(store, clock, EMBEDDED)) as server:
        bob = await server.store.people.add_user("bob@example.org", "Bob", Role.USER, "hash")
        await server.machine().login(token=token(claims(clock.now, sub=bob.subject)))
        code, error = await refusal(server.machine().login(token=token(claims(clock.now, sub="a stranger"))))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "not known here" in str(error)


async def test_extra_dns_labels_cost_no_token(company: Company) -> None:
    text = company.token()
    assert (await refusal(company.machine().login(dns_labels=["www"], token=text)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    await company.machine().login(token=text)


# ---- sessions


async def test_a_session_that_ends_takes_the_machine_off_everybodys_map(company: Company) -> None:
    server_room = await company.joined("server", await company.setup_key())
    laptop = await company.laptop("laptop")
    of_server, of_laptop = await server_room.sync(), await laptop.sync()
    await of_server.until_it_sees("laptop")
    await of_laptop.until_it_sees("server")

    company.clock.now += DAY

    error = await how_it_ends(of_laptop)
    assert isinstance(error, SessionExpired)
    assert "peer login has expired" in str(error)
    assert (await of_server.until_it_sees()).NetworkMap.remotePeersIsEmpty


async def test_a_machine_whose_session_is_over_is_asked_to_sign_in_and_no_setup_key_helps(company: Company) -> None:
    laptop, key = await company.laptop("laptop"), await company.setup_key()
    company.clock.now += DAY
    meta = laptop.sealed(SyncMetaRequest(meta=laptop.meta()), await laptop.server_key())
    for call in (laptop.login(), laptop.login(key), (await laptop.sync()).next(), laptop.stub.SyncMeta(meta)):
        code, error = await refusal(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert isinstance(error, SessionExpired)
        assert "peer login has expired" in str(error)
    assert [found.used for found in await company.store.setup_keys()] == [0]


async def revive_by_login(company: Company, laptop: Machine) -> None:
    await laptop.login(token=company.token())


async def revive_by_extension(company: Company, laptop: Machine) -> None:
    await laptop.extend(company.token())


@pytest.mark.parametrize("revive", [revive_by_login, revive_by_extension])
async def test_signing_in_again_brings_a_machine_back_at_once(
    company: Company, revive: Callable[[Company, Machine], Any]
) -> None:
    server_room, laptop = await company.joined("server", await company.setup_key()), await company.laptop("laptop")
    address = (await laptop.login()).peerConfig.address
    of_server = await server_room.sync()
    await of_server.until_it_sees("laptop")
    company.clock.now += DAY
    await of_server.until_it_sees()

    await revive(company, laptop)

    await of_server.until_it_sees("laptop")
    assert (await laptop.login()).peerConfig.address == address
    first = await (await laptop.sync()).until_it_sees("server")
    assert first.sessionExpiresAt.seconds == company.clock.now + DAY


async def test_a_session_is_extended_without_touching_the_stream(company: Company) -> None:
    server_room, laptop = await company.joined("server", await company.setup_key()), await company.laptop("laptop")
    of_server, of_laptop = await server_room.sync(), await laptop.sync()
    await of_server.until_it_sees("laptop")
    await of_laptop.next()
    company.clock.now += DAY - 1

    until = await laptop.extend(company.token())

    assert until == company.clock.now + DAY
    news = await of_laptop.next()
    assert news.sessionExpiresAt.seconds == until
    assert not news.HasField("NetworkMap")
    assert not news.HasField("netbirdConfig")
    company.clock.now += 2  # the former end is over
    await company.joined("newcomer", await company.setup_key())
    changed = await of_laptop.until_it_sees("server", "newcomer")
    assert not changed.HasField("sessionExpiresAt")
    await of_server.until_it_sees("laptop", "newcomer")


async def test_the_next_of_several_sessions_ends_in_its_turn(company: Company) -> None:
    watcher = await (await company.joined("server", await company.setup_key())).sync()
    for number, person in enumerate(("alice", "bob", "carol")):
        await company.laptop(f"m{number}", person)
        company.clock.now += 10
    await watcher.until_it_sees("m0", "m1", "m2")
    company.clock.now += DAY - 30
    await watcher.until_it_sees("m1", "m2")
    company.clock.now += 10
    await watcher.until_it_sees("m2")
    company.clock.now += 10
    await watcher.until_it_sees()


async def test_an_extension_needs_a_token_a_person_and_an_end(company: Company) -> None:
    laptop, server_room = await company.laptop("laptop"), await company.joined("server", await company.setup_key())
    assert (await refusal(laptop.extend("")))[0] is grpc.StatusCode.INVALID_ARGUMENT
    text = company.token()
    assert (await refusal(server_room.extend(text)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    code, error = await refusal(company.machine("stranger").extend(text))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert type(error) is LoginNeeded
    await laptop.extend(text)  # which none of them has cost


@pytest.mark.parametrize(("lifetime", "end"), [(3600.0, 3600), (float("inf"), None)])
async def test_how_long_sessions_last_is_configured(tmp_path: Path, clock: Clock, lifetime: float, end: int | None) -> None:
    settings = replace(SETTINGS, session_lifetime=lifetime)
    async with running(tmp_path / "data", clock, settings, lambda store: Source(store, clock)) as server:
        machine = server.machine()
        response = await machine.login(token=token(claims(clock.now)))
        assert response.sessionExpiresAt.seconds == (0 if end is None else clock.now + end)
    async with running(tmp_path / "data", clock) as server:  # a start that says nothing of it changes nothing
        assert (await server.store.account()).session_lifetime == (None if end is None else lifetime)


# ---- persons who are kept out


async def test_a_person_whom_another_program_blocks_loses_their_machines_and_gets_them_back(
    company: Company, tmp_path: Path
) -> None:
    of_bob, of_alice = await company.laptop("bobs", "bob"), await company.laptop("alices", "alice")
    bob, alice = await of_bob.sync(), await of_alice.sync()
    await bob.until_it_sees("alices")
    await alice.until_it_sees("bobs")

    async with open_store(tmp_path / "company", must_exist=True) as other:
        user = await other.people.find_by_email("bob@example.org")
        await other.people.set_blocked(user.id, True)

    assert isinstance(await how_it_ends(bob), UserBlocked)
    await alice.until_it_sees()
    for call in (of_bob.login(), of_bob.login(token=company.token("bob")), of_bob.extend(company.token("bob"))):
        assert isinstance((await refusal(call))[1], UserBlocked)
    code, _ = await refusal(company.machine("new").login(token=company.token("bob")))
    assert code is grpc.StatusCode.PERMISSION_DENIED

    async with open_store(tmp_path / "company", must_exist=True) as other:
        await other.people.set_blocked(user.id, False)
    await alice.until_it_sees("bobs")
    await (await of_bob.sync()).until_it_sees("alices")


async def test_a_person_who_is_removed_takes_their_machines_along(company: Company, tmp_path: Path) -> None:
    of_bob, of_alice = await company.laptop("bobs", "bob"), await company.laptop("alices", "alice")
    bob, alice = await of_bob.sync(), await of_alice.sync()
    await bob.until_it_sees("alices")
    await alice.until_it_sees("bobs")

    async with open_store(tmp_path / "company", must_exist=True) as other:
        await other.people.remove_user((await other.people.find_by_email("bob@example.org")).id)

    assert (await bob.next()).NetworkMap.firewallRulesIsEmpty
    assert await bob.has_ended()
    await alice.until_it_sees()
    assert type((await refusal(of_bob.login()))[1]) is LoginNeeded


async def test_a_machine_that_is_kept_out_may_still_leave(company: Company) -> None:
    laptop = await company.laptop("laptop")
    company.clock.now += DAY
    await laptop.logout()
    assert await company.store.find_peer(laptop.private_key.public) is None


@pytest.mark.parametrize("text", ["", "no token", "a.b.c", "\x00" * 50, "x" * 200_000])
async def test_junk_for_a_token_is_refused_or_counts_for_none(company: Company, text: str) -> None:
    code, error = await refusal(company.machine().login(token=text))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert isinstance(error, SignInRefused if text else LoginNeeded)
