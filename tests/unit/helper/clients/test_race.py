import asyncio

import pytest

from helper.clients import race as race_module
from helper.clients.probe import NoRoute
from helper.clients.race import interleaved, race, resolve, verdict
from protocol.addresses import Address
from protocol.errors import CertificateMismatch, ServerUnreachable

V4, OTHER_V4, V6 = "192.0.2.1", "192.0.2.2", "2001:db8::1"
PORT = 443


def address(host: str) -> Address:
    return Address.of(host, PORT)


class Net:
    """Addresses that answer at once, refuse, or swallow everything."""

    def __init__(self, *, answer: set[str] = frozenset(), refuse: dict[str, Exception] | None = None) -> None:  # type: ignore[assignment]
        self.answer, self.refuse, self.tried = answer, refuse or {}, list[str]()
        self.cancelled: list[str] = []

    async def probe(self, host: str, where: Address) -> str:
        self.tried.append(where.host)
        if where.host in self.refuse:
            raise self.refuse[where.host]
        if where.host not in self.answer:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(where.host)
                raise
        return f"{host} answers"


def test_families_take_turns_and_ipv6_begins() -> None:
    order = interleaved([address(V4), address(OTHER_V4), address(V6), address(V4)])
    assert [item.host for item in order] == [V6, V4, OTHER_V4]


async def test_a_black_hole_does_not_keep_the_next_address_from_winning() -> None:
    net = Net(answer={V4})
    host, where, result = await race((V4, V6), PORT, net.probe, timeout=30)
    assert (host, where.host, result) == (V4, V4, f"{V4} answers")
    assert net.tried == [V6, V4]
    assert net.cancelled == [V6]


async def test_a_refusal_starts_the_next_attempt_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 3600.0)
    net = Net(answer={V4}, refuse={V6: ServerUnreachable("refused")})
    assert (await race((V4, V6), PORT, net.probe, timeout=30))[0] == V4


async def test_another_machine_at_one_address_does_not_hide_the_server_at_another() -> None:
    net = Net(answer={OTHER_V4}, refuse={V4: CertificateMismatch("not it")})
    assert (await race((V4, OTHER_V4), PORT, net.probe, timeout=30))[0] == OTHER_V4


async def test_a_definite_no_is_told_before_mere_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module, "SECOND_OPINION", 0.02)
    net = Net(refuse={V4: CertificateMismatch("not it")})
    with pytest.raises(CertificateMismatch):
        await race((V4, V6), PORT, net.probe, timeout=3600)


async def test_silence_everywhere_ends_in_time_and_names_the_addresses() -> None:
    net = Net()
    with pytest.raises(ServerUnreachable, match=rf"no answer from .*{V4}:443"):
        await race((V4, V6), PORT, net.probe, timeout=0.05)
    assert sorted(net.cancelled) == sorted(net.tried)


async def test_a_name_is_looked_up_beside_the_addresses_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(race_module, "resolve", never)
    net = Net(answer={V4})
    assert (await race(("vpn.example.org", V4), PORT, net.probe, timeout=30))[0] == V4


async def test_the_probe_learns_the_name_by_which_an_address_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(host: str, port: int) -> list[Address]:
        return [Address.of(V4, port), Address.of(V6, port)]

    monkeypatch.setattr(race_module, "resolve", found)
    net = Net(answer={V6})
    assert await race(("vpn.example.org",), PORT, net.probe, timeout=30) == (
        "vpn.example.org",
        address(V6),
        "vpn.example.org answers",
    )


async def test_cancelling_the_race_cancels_its_probes() -> None:
    net = Net()
    running = asyncio.create_task(race((V4,), PORT, net.probe, timeout=3600))
    while not net.tried:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert net.cancelled == [V4]


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 70 + ".example", "nul\0.example"])
async def test_a_name_that_cannot_be_looked_up_is_a_sentence(name: str) -> None:
    with pytest.raises(ServerUnreachable, match="the server's name"):
        await resolve(name, PORT)


def test_the_verdict_gives_each_address_its_reason_but_for_those_without_a_way() -> None:
    error = verdict([ServerUnreachable("a refused"), ServerUnreachable("b closed"), NoRoute("d has no route")], ["c"], 10.0)
    assert str(error) == "a refused; b closed; no answer from c within 10 s"
    assert str(verdict([NoRoute("d has no route")], [], 10.0)) == "d has no route"
