"""Persons' machines, through gRPC as helpers do it: how they sign in, and who gets in."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from protocol.envelope import open_message
from protocol.errors import (
    ClockOff,
    CoveyError,
    LoginNeeded,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
)
from protocol.generated.management_pb2 import (
    DeviceAuthorizationFlow,
    DeviceAuthorizationFlowRequest,
    PKCEAuthorizationFlow,
    PKCEAuthorizationFlowRequest,
    ProviderConfig,
)
from protocol.sign_in import Provider
from server.store import Role
from server.store.people import EMBEDDED
from tests.unit.server.identity.tokens import ISSUER, claims, token
from tests.unit.server.management.conftest import Clock, Company, Machine, Server, Source, refusal, running

DAY = 86400.0
NIL = "00000000-0000-0000-0000-000000000000"
pytestmark = pytest.mark.usefixtures("brisk")

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


@pytest.mark.parametrize("text", ["", "no token", "a.b.c", "\x00" * 50, "x" * 200_000])
async def test_junk_for_a_token_is_refused_or_counts_for_none(company: Company, text: str) -> None:
    code, error = await refusal(company.machine().login(token=text))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert isinstance(error, SignInRefused if text else LoginNeeded)
