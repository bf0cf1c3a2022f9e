"""Real interfaces of wireguard-go, in namespaces."""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from helper.ledger.ledger import Ledger
from helper.ledger.processes import find_wireguard_go, start_time
from helper.ledger.undo import undo_all
from helper.wireguard.device import Device, DeviceSettings, PeerSettings, open_device
from helper.wireguard.drift import KeyChanged, PeerChanged, PortChanged
from helper.wireguard.uapi import UapiClient, socket_path
from protocol.addresses import Address
from protocol.errors import AlreadyRunning, NoTunDevice, PortTaken, WireGuardMissing
from protocol.keys import PrivateKey
from tests.unit.helper.netmon.namespaces import INTERFACE, inside, ip, joined, namespace, needs_root

pytestmark = [pytest.mark.lab, needs_root]

ROOT = Path(__file__).parents[4]
PORT = 40405  # of a helper that is going to be killed
ALICE, BOB = PrivateKey.generate(), PrivateKey.generate()


def settings(name: str = INTERFACE, key: PrivateKey = ALICE, number: int = 1) -> DeviceSettings:
    addresses = (ipaddress.ip_interface(f"100.92.0.{number}/16"), ipaddress.ip_interface(f"fd00:92::{number}/64"))
    return DeviceSettings(name, key, 0, addresses, backend="userspace")


@pytest.fixture
def alone() -> Iterator[str]:
    with namespace("d") as name, inside(name):
        yield name


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.json")


def links(name: str) -> list[str]:
    return [line.split(":")[1].strip() for line in ip("-n", name, "-o", "link", "show").splitlines()]


async def lost(device: Device) -> str:
    async with asyncio.timeout(60):
        return await device.wait_lost()


async def test_two_devices_shake_hands_and_ping(tmp_path: Path) -> None:
    with joined() as (a, b):
        async with contextlib.AsyncExitStack() as stack:
            with inside(a):
                alice = await stack.enter_async_context(open_device(settings(INTERFACE + "a"), Ledger(tmp_path / "a")))
            with inside(b):
                bob = await stack.enter_async_context(open_device(settings(INTERFACE + "b", BOB, 2), Ledger(tmp_path / "b")))
            near = (ipaddress.ip_network("100.92.0.1/32"), ipaddress.ip_network("fd00:92::1/128"))
            far = (ipaddress.ip_network("100.92.0.2/32"), ipaddress.ip_network("fd00:92::2/128"))
            await bob.set_peer(PeerSettings(ALICE.public, near))
            await alice.set_peer(PeerSettings(BOB.public, far))
            await alice.set_endpoint(BOB.public, Address.of("192.0.2.2", bob.port), 25)
            for there in ("100.92.0.2", "fd00:92::2"):
                ping = await asyncio.create_subprocess_exec("ip", "netns", "exec", a, "ping", "-c1", "-W60", there, stdout=-3)
                assert await ping.wait() == 0
            seen = (await bob.statistics())[ALICE.public]
            assert seen.endpoint == Address.of("192.0.2.1", alice.port)
            assert seen.last_handshake > 0
            assert seen.received > 0


async def test_the_interface_is_as_asked_and_leaves_nothing(alone: str, ledger: Ledger) -> None:
    async with open_device(replace(settings(), port=40404, mtu=1300, fwmark=51), ledger) as device:
        shown = ip("-n", alone, "addr", "show", INTERFACE)
        assert (device.name, device.port, device.is_kernel) == (INTERFACE, 40404, False)
        for part in ("mtu 1300", "UP", "100.92.0.1/16", "fd00:92::1/64"):
            assert part in shown
        assert "fe80" not in shown
        state = await UapiClient(INTERFACE).state()
        assert (state.listen_port, state.fwmark) == (40404, 51)
        (change,) = ledger.entries()
        pid = change.details["pid"]
        assert isinstance(pid, int)
        assert os.getsid(pid) == pid  # Ctrl-C at our terminal does not reach it
    assert links(alone) == ["lo"]
    assert ledger.entries() == ()
    assert not socket_path(INTERFACE).exists()
    assert start_time(pid) is None


async def test_ipv6_is_left_out_where_the_machine_has_none(alone: str, ledger: Ledger) -> None:
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as switch:
        switch.write("1")
    async with open_device(settings(), ledger):
        shown = ip("-n", alone, "addr", "show", INTERFACE)
    assert "100.92.0.1/16" in shown
    assert "inet6" not in shown


async def test_the_same_peer_twice_leaves_the_endpoint_that_wireguard_has(alone: str, ledger: Ledger) -> None:
    peer = PeerSettings(BOB.public, (ipaddress.ip_network("100.92.0.2/32"),), Address.parse("192.0.2.2:1"), 25)
    async with open_device(settings(), ledger) as device:
        await device.set_peer(peer)
        wg = UapiClient(INTERFACE)
        subprocess.run(["wg", "set", INTERFACE, "peer", BOB.public.text, "endpoint", "192.0.2.9:9"], check=True)
        await device.set_peer(peer)
        assert (await device.statistics())[BOB.public].endpoint == Address.parse("192.0.2.9:9")
        more = replace(peer, allowed_ips=(*peer.allowed_ips, ipaddress.ip_network("fd00:92::2/128")))
        await device.set_peer(more)
        assert set((await wg.state()).peers[BOB.public].allowed_ips) == set(more.allowed_ips)
        await device.set_peer(peer, afresh=True)
        assert (await device.statistics())[BOB.public].endpoint == Address.parse("192.0.2.2:1")
        assert (await wg.state()).peers[BOB.public].allowed_ips == list(peer.allowed_ips)
        await device.remove_peer(BOB.public)
        await device.set_endpoint(BOB.public, Address.parse("192.0.2.2:1"))
        assert await device.statistics() == {}


async def test_many_calls_at_once_all_arrive(alone: str, ledger: Ledger) -> None:
    peers = [PeerSettings(PrivateKey.generate().public, (ipaddress.ip_network(f"100.92.1.{n}/32"),)) for n in range(50)]
    async with open_device(settings(), ledger) as device:
        async with asyncio.TaskGroup() as group:
            for number, peer in enumerate(peers):
                group.create_task(device.set_peer(peer))
                group.create_task(device.set_endpoint(peer.public_key, Address.of("192.0.2.2", 1000 + number)))
                group.create_task(device.statistics())
        found = await device.statistics()
    assert [found[peer.public_key].endpoint for peer in peers] == [Address.of("192.0.2.2", 1000 + n) for n in range(50)]


async def test_a_taken_port_is_named_with_its_holder(alone: str, ledger: Ledger) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as holder:
        holder.bind(("::1", 40404))
        with pytest.raises(PortTaken, match=rf"40404 is taken by .+ \(process {os.getpid()}\)"):
            async with open_device(replace(settings(), port=40404), ledger):
                pass
    assert ledger.entries() == ()


async def test_a_port_that_another_helper_has_is_named_with_its_program(alone: str, tmp_path: Path) -> None:
    async with open_device(replace(settings(), port=40404), Ledger(tmp_path / "one")) as device:
        with pytest.raises(PortTaken, match=r"40404 is taken by wireguard-go \(process \d+\)"):
            async with open_device(replace(settings(INTERFACE + "b", BOB, 2), port=40404), Ledger(tmp_path / "two")):
                pass
        assert await device.statistics() == {}
    assert links(alone) == ["lo"]


async def test_a_strangers_interface_is_left_alone(alone: str, ledger: Ledger) -> None:
    ip("-n", alone, "link", "add", INTERFACE, "type", "bridge")
    with pytest.raises(AlreadyRunning, match=INTERFACE):
        async with open_device(settings(), ledger):
            pass
    assert INTERFACE in links(alone)


async def test_a_name_that_serves_another_namespace_is_refused(alone: str, tmp_path: Path) -> None:
    async with open_device(settings(), Ledger(tmp_path / "one")) as device:
        with namespace("e") as other, inside(other), pytest.raises(AlreadyRunning):
            async with open_device(settings(), Ledger(tmp_path / "two")):
                pass
        assert await device.statistics() == {}


async def test_what_is_missing_is_said(alone: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.wireguard.userspace.TUN_DEVICE", "/nowhere/tun")
    with pytest.raises(NoTunDevice):
        async with open_device(settings(), ledger):
            pass
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(WireGuardMissing):
        async with open_device(settings(), ledger):
            pass


async def test_an_interface_that_is_removed_is_lost_and_one_that_is_set_down_is_not(alone: str, tmp_path: Path) -> None:
    async with open_device(settings(), Ledger(tmp_path / "one")) as device:
        ip("-n", alone, "link", "set", INTERFACE, "down")
        ip("-n", alone, "link", "set", INTERFACE, "up")
        ip("-n", alone, "link", "del", INTERFACE)
        assert "removed" in await lost(device)
        assert "removed" in await lost(device)


def wg(*words: str) -> None:
    subprocess.run(["wg", "set", INTERFACE, *words], check=True, capture_output=True)


async def test_what_others_change_is_seen_and_told_again(alone: str, ledger: Ledger, tmp_path: Path) -> None:
    # given a peer, and another whose address a stranger takes
    networks = [ipaddress.ip_network(f"100.92.0.{number}/32") for number in (2, 3)]
    keys = [BOB.public, PrivateKey.generate().public]
    stranger, other_key = PrivateKey.generate().public, tmp_path / "key"
    other_key.write_text(PrivateKey.generate().secret_text)
    async with open_device(settings(), ledger) as device:
        for key, network in zip(keys, networks, strict=True):
            await device.set_peer(PeerSettings(key, (network,), Address.parse("192.0.2.2:1"), 25))
        assert await device.drift() == []
        # when
        wg("peer", BOB.public.text, "remove")
        wg("peer", stranger.text, "allowed-ips", "100.92.0.3/32")
        wg("private-key", str(other_key), "listen-port", "40999")
        drifts = await device.drift()
        # then
        expected = [KeyChanged(), PortChanged(), PeerChanged(BOB.public, is_gone=True), PeerChanged(keys[1], is_gone=False)]
        assert drifts == expected
        for drift in drifts:
            await device.correct(drift)
        assert await device.drift() == []
        state = await UapiClient(INTERFACE).state()
        assert state.listen_port == device.port
        assert state.peers[BOB.public].endpoint == Address.parse("192.0.2.2:1")
        assert state.peers[stranger].allowed_ips == []


async def test_a_killed_wireguard_go_is_lost_and_can_be_started_again(alone: str, ledger: Ledger) -> None:
    async with open_device(settings(), ledger) as device:
        (pid,) = find_wireguard_go(INTERFACE)
        os.kill(pid, signal.SIGKILL)
        assert INTERFACE in await lost(device)
    async with open_device(settings(), ledger) as device:
        assert await device.statistics() == {}


async def crashed_helper(alone: str, path: Path) -> int:
    """Let a helper bring the device up, kill it, and return the wireguard-go that it leaves."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.helper.wireguard.crashing",
        INTERFACE,
        str(path),
        str(PORT),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    async with asyncio.timeout(60):
        assert await child.stdout.readline() == b"up\n"
    child.kill()
    await child.wait()
    (pid,) = find_wireguard_go(INTERFACE)
    assert INTERFACE in links(alone)
    return pid


async def test_after_a_crash_the_next_start_takes_the_name_over(alone: str, tmp_path: Path) -> None:
    left = await crashed_helper(alone, tmp_path / "ledger.json")
    async with open_device(replace(settings(), port=PORT), Ledger(tmp_path / "ledger.json")) as device:
        (pid,) = find_wireguard_go(INTERFACE)
        assert pid != left
        assert links(alone).count(INTERFACE) == 1
        assert device.port == PORT  # which the former one had
        assert await device.statistics() == {}
    assert links(alone) == ["lo"]


async def test_after_a_crash_cleaning_up_needs_no_helper(alone: str, tmp_path: Path) -> None:
    await crashed_helper(alone, tmp_path / "ledger.json")
    ledger = Ledger(tmp_path / "ledger.json")
    assert [INTERFACE in sentence for sentence in await undo_all(ledger)] == [True]
    assert links(alone) == ["lo"]
    assert not socket_path(INTERFACE).exists()
    assert ledger.entries() == ()


async def test_a_crash_between_start_and_note_is_found_by_its_command_line(alone: str, tmp_path: Path) -> None:
    await crashed_helper(alone, tmp_path / "ledger.json")
    ledger = Ledger(tmp_path / "fresh.json")
    ledger.record("wireguard-go", interface=INTERFACE)
    assert len(await undo_all(ledger)) == 1
    assert links(alone) == ["lo"]


async def test_a_process_that_got_the_number_later_is_not_ours_to_end(alone: str, ledger: Ledger) -> None:
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    ledger.record("wireguard-go", interface=INTERFACE, pid=sleeper.pid, start_time=start_time(sleeper.pid))
    ledger.record("wireguard-go", interface=INTERFACE, pid=os.getpid(), start_time=1)
    assert await undo_all(ledger) == []
    assert sleeper.returncode is None
    sleeper.kill()
    await sleeper.wait()


async def test_only_interfaces_of_our_kinds_are_removed(alone: str, ledger: Ledger) -> None:
    ip("-n", alone, "link", "add", INTERFACE, "type", "bridge")
    ip("-n", alone, "tuntap", "add", INTERFACE + "t", "mode", "tun")
    ledger.record("interface", name=INTERFACE)
    ledger.record("interface", name=INTERFACE + "t")
    ledger.record("interface", name="nothere")
    assert len(await undo_all(ledger)) == 1
    assert links(alone) == ["lo", INTERFACE]
    assert ledger.entries() == ()
