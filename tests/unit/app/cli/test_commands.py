"""`covey`, as people and scripts run it: what it prints, and how it ends."""

import asyncio
import json
import os
import pathlib
import signal
import socket

import pytest

from helper.local_api.listener import serve
from protocol.errors import CoveyError, LoginNeeded, NoPermission, SetupKeyExpired, TimedOut, UsageError
from protocol.local_api import StatusDocument, UpRequest
from protocol.version import VERSION
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController, link, peer, status_document

KEY = "a8b7c6d5-0123-4567-89ab-cdef01234567"
LINK = f"covey://192.0.2.1:443/join/key.{KEY}"
COMMANDS = (["up"], ["login"], ["down"], ["logout"], ["status"], ["status", "--watch"], ["peers"], ["ping", "bob"])

# ---- connecting


async def test_up_says_who_we_are_now(covey: Covey, controller: ScriptedController, folder: pathlib.Path) -> None:
    (folder / "key").write_text(f"\ufeff  {KEY}\r\n\n", encoding="utf-8")
    url = "https://vpn.example.org"

    done = await covey("up", "--management-url", url, "--setup-key-file", str(folder / "key"), "--hostname", "laptop")

    assert (done.code, done.err) == (0, "")
    assert done.out == "Connected as alice.covey.internal (100.92.0.1).\n"
    assert controller.calls == [UpRequest(url, None, KEY, "laptop", timeout=30.0)]


async def test_up_reads_the_key_from_standard_input(covey: Covey, controller: ScriptedController) -> None:
    process = await covey.start("up", "--setup-key-file", "-", "--timeout", "5", "--json")
    out, err = await process.communicate(f"{KEY}\n".encode())
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out) == controller.document
    assert controller.calls == [UpRequest(setup_key=KEY, timeout=5.0)]


async def test_up_without_anything_uses_what_the_helper_knows(covey: Covey, controller: ScriptedController) -> None:
    assert (await covey("up")).code == 0
    assert controller.calls == [UpRequest(timeout=30.0)]


async def test_login_with_a_join_link_connects(covey: Covey, controller: ScriptedController) -> None:
    done = await covey("login", "--join", LINK)
    assert (done.code, done.err) == (0, "")
    assert "alice.covey.internal (100.92.0.1)" in done.out
    assert controller.calls == [UpRequest(join_link=LINK, timeout=30.0)]


async def test_down_and_logout_say_what_they_did(covey: Covey, controller: ScriptedController) -> None:
    down = await covey("down")
    logout = await covey("logout")
    assert (down.code, down.out) == (0, "Disconnected.\n")
    assert logout.code == 0
    assert logout.out.startswith("Logged out")
    assert controller.calls == ["down", "logout"]


async def test_up_shows_on_a_terminal_how_far_it_is(covey: Covey, controller: ScriptedController) -> None:
    controller.hold = asyncio.Event()
    controller.document |= {"signal": link("https://vpn.example.org:443", "no answer")}
    ours, theirs = os.openpty()
    process = await covey.start("up", stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"Connecting to signal at https://vpn.example.org:443: no answer" not in shown:
        shown += await asyncio.to_thread(os.read, ours, 4096)
    controller.hold.set()
    out, _ = await process.communicate()
    os.close(ours)
    assert (process.returncode, out) == (0, b"Connected as alice.covey.internal (100.92.0.1).\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--join", LINK, "--management-url", "https://h"], "Give either --join or --management-url, not both."),
        (["--setup-key", KEY, "--setup-key-file", "-"], "Give either --setup-key or --setup-key-file, not both."),
        (["--join", "https://vpn.example.org"], "A join link begins with covey://HOST:PORT/join."),
        (["--management-url", "vpn.example.org"], "The server's address begins with https://"),
        (["--setup-key-file", "/nowhere/key"], "The setup key can't be read from the file /nowhere/key: No such file"),
        (["--setup-key-file", "/dev/null"], "There is no setup key in the file /dev/null"),
        (["--hostname", " "], "The --hostname is empty."),
        (["--timeout", "0"], "Invalid value for '--timeout'"),
        (["--timeout", "soon"], "Invalid value for '--timeout'"),
        (["--no-such-option"], "No such option"),
    ],
)
async def test_what_makes_no_sense_is_a_usage_error_and_never_sent(
    covey: Covey, controller: ScriptedController, words: list[str], sentence: str
) -> None:
    done = await covey("up", *words)
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith(sentence)
    assert second
    assert controller.calls == []


@pytest.mark.parametrize("key", ["", "not-a-key", KEY + "0"])
async def test_a_malformed_key_is_refused_without_repeating_it(covey: Covey, controller: ScriptedController, key: str) -> None:
    done = await covey("up", "--management-url", "https://h", "--setup-key", key)
    assert done.code == 4
    assert not key or key not in done.err
    assert controller.calls == []


# ---- failures


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CoveyError("It failed", "Do this."), 1),
        (NoPermission("It failed", "Do this."), 1),
        (UsageError("It failed", "Do this."), 2),
        (LoginNeeded("It failed", "Do this."), 4),
        (SetupKeyExpired("It failed", "Do this."), 4),
        (TimedOut("It failed", "Do this."), 5),
    ],
)
async def test_what_the_helper_says_is_told_with_its_exit_code(
    covey: Covey, controller: ScriptedController, error: CoveyError, code: int
) -> None:
    controller.failure = error
    done = await covey("up", "--json")
    assert (done.code, done.err) == (code, "It failed.\nDo this.\n")
    assert json.loads(done.out) == {"error": {"code": error.code, "sentence": "It failed", "hint": "Do this."}}


async def test_without_a_helper_every_command_says_how_to_start_it(covey: Covey) -> None:
    for words in COMMANDS:
        done = await covey(*words)
        assert (done.code, done.out) == (3, ""), words
        first, second = done.err.splitlines()
        assert first == f"No helper listens at {covey.socket}."
        assert "covey-helper" in second


async def test_version_needs_no_helper(covey: Covey) -> None:
    done = await covey("version")
    assert (done.code, done.out) == (0, f"covey {VERSION}\nhelper not running\n")
    assert json.loads((await covey("version", "--json")).out) == {"cliVersion": VERSION, "daemonVersion": None}


async def test_version_says_the_helper_s_too(covey: Covey, controller: ScriptedController) -> None:
    done = await covey("--socket", str(covey.socket), "version", "--json")
    assert json.loads(done.out) == {"cliVersion": VERSION, "daemonVersion": VERSION}


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.0 200 OK\r\n\r\n[", b"HTTP/1.0 200 OK\r\n\r\n[]", b"HTTP/1.0 x\r\n\r\n{}"]
)
async def test_something_else_at_the_socket_is_no_helper(covey: Covey, answer: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(respond, covey.socket):
        done = await covey("status")
    assert done.code == (1 if answer else 3)
    assert len(done.err.splitlines()) == 2


async def test_a_socket_that_nobody_listens_at_any_more_is_no_helper(covey: Covey) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(covey.socket))
    assert (await covey("status")).code == 3


# ---- showing


async def test_status_as_json_has_the_keys_that_scripts_rely_on(covey: Covey, controller: ScriptedController) -> None:
    status: StatusDocument = json.loads((await covey("status", "--json")).out)
    assert status == controller.document
    assert status["daemonStatus"] == "Connected"
    assert status["management"]["connected"]
    assert status["signal"]["connected"]
    assert status["peers"]["total"] == status["peers"]["connected"] == len(status["peers"]["details"]) == 2
    assert {
        "fqdn", "ip", "publicKey", "status", "connectionType", "iceCandidateType", "iceCandidateEndpoint", "relayAddress",
        "lastWireguardHandshake", "transferReceived", "transferSent", "latency", "pathSince", "lossPercent", "reason",
        "verdict", "pathMtu",
    } == set(status["peers"]["details"][0])  # fmt: skip


async def test_the_installed_program_is_the_same(covey: Covey, controller: ScriptedController) -> None:
    process = await covey.start("peers", "--json")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out) == controller.document["peers"]["details"]


async def test_status_names_every_peer_its_path_and_why(covey: Covey, controller: ScriptedController) -> None:
    done = await covey("status")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "alice.covey.internal" in done.out
    assert any(line.split()[:2] == ["bob", "100.92.0.2"] and "direct (srflx → host)" in line for line in lines)
    assert any(line.split()[:2] == ["carol", "100.92.0.3"] and "relayed via 203.0.113.9:50001" in line for line in lines)
    assert "carol: Relayed because both sides are behind a symmetric NAT." in lines


async def test_peers_lists_them(covey: Covey, controller: ScriptedController) -> None:
    assert [line.split()[0] for line in (await covey("peers")).out.splitlines()] == ["Name", "bob", "carol"]
    assert json.loads((await covey("peers", "--json")).out) == controller.document["peers"]["details"]
    controller.show(status_document())
    assert (await covey("peers")).out == "No other machine is in the network yet.\n"


async def test_watch_follows_changes_and_the_helper_s_restart_until_interrupted(covey: Covey) -> None:
    first, second = ScriptedController(peer("bob")), ScriptedController(peer("dora"))
    async with serve(first, covey.socket):
        watching = await covey.start("status", "--watch")
        assert watching.stdout is not None
        assert json.loads(await watching.stdout.readline()) == first.document
        first.show(status_document(peer("bob"), peer("carol")))
        assert json.loads(await watching.stdout.readline()) == first.document
    assert json.loads(await watching.stdout.readline())["error"]["code"] == "helper-not-running"
    async with serve(second, covey.socket):
        assert json.loads(await watching.stdout.readline()) == second.document
        watching.send_signal(signal.SIGINT)
        _, err = await watching.communicate()
    assert (watching.returncode, err) == (130, b"")


# ---- ways to end


@pytest.mark.parametrize("words", [["status", "--json"], ["status"], ["peers"], ["--help"]])
async def test_a_reader_that_leaves_is_no_reason_to_complain(
    covey: Covey, controller: ScriptedController, words: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await covey.start(*words, stdout=writing)
    os.close(writing)
    _, err = await process.communicate()
    assert err == b""


async def test_ctrl_c_while_connecting_ends_quietly(covey: Covey, controller: ScriptedController) -> None:
    controller.hold = asyncio.Event()
    process = await covey.start("up")
    await controller.begun.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_without_a_command_it_explains_itself(covey: Covey) -> None:
    done = await covey()
    assert done.code == 2
    for name in ("up", "login", "down", "logout", "status", "peers", "ping", "version"):
        assert f"\n  {name} " in done.out


async def test_help_recommends_the_key_file(covey: Covey) -> None:
    text = " ".join((await covey("up", "--help")).out.split())
    assert "better give --setup-key-file" in text
