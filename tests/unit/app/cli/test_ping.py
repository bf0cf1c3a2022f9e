"""`covey ping` with a stand-in for the system's ping."""

import pathlib
import signal

import pytest

from app.cli.ping import Tally, describe
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController, peer, relayed, status_document

ANSWERS = 'printf "%s\\n" "$*" >> "$0.words"; echo "64 bytes from $5: icmp_seq=1 ttl=64 time=1.25 ms"'
SILENT = 'echo "1 packets transmitted, 0 received"; exit 1'


@pytest.fixture
def ping(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr("app.cli.ping.INTERVAL", 0.0)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    program = folder / "ping"
    program.write_text(f"#!/bin/sh\n{ANSWERS}\n")
    program.chmod(0o755)
    return program


async def test_each_answer_stands_with_its_path_and_a_summary_ends_it(
    covey: Covey, controller: ScriptedController, ping: pathlib.Path
) -> None:
    done = await covey("ping", "bob", "-c", "2")
    assert (done.code, done.err) == (0, "")
    first, one, two, last = done.out.splitlines()
    assert first == "Pinging bob.covey.internal at 100.92.0.2"
    assert one.split(None, 3) == ["1", "1.2", "ms", "direct (srflx → host), 198.51.100.7:51821"]
    assert two.startswith("  2")
    assert last.startswith("2 of 2 answered, 0 % lost")
    assert pathlib.Path(f"{ping}.words").read_text().splitlines() == ["-n -c1 -W2 -- 100.92.0.2"] * 2


async def test_silence_is_a_failure_with_its_reason(covey: Covey, controller: ScriptedController, ping: pathlib.Path) -> None:
    ping.write_text(f"#!/bin/sh\n{SILENT}\n")
    controller.show(status_document(peer("bob", connectionType="-", status="Connecting", reason="No answer to our offers.")))
    done = await covey("ping", "bob", "-c1")
    assert done.code == 1
    assert "no answer  No answer to our offers." in done.out
    assert "0 of 1 answered, 100 % lost" in done.out


@pytest.mark.parametrize("words", [["nobody"], ["carl"]])
async def test_an_unknown_peer_is_told(covey: Covey, controller: ScriptedController, words: list[str]) -> None:
    done = await covey("ping", *words)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"No peer is called '{words[0]}'.\n")


async def test_ctrl_c_still_says_what_came(covey: Covey, controller: ScriptedController) -> None:
    controller.show(status_document(peer("bob", ip="127.0.0.1")))
    process = await covey.start("ping", "127.0.0.1", "-c", "1000")
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"Pinging bob")
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert b" answered, " in out


def test_the_path_or_the_reason_is_described() -> None:
    assert describe(relayed("carol", 3)) == "relayed via 203.0.113.9:50001"
    assert describe(peer(iceCandidateEndpoint={"local": "", "remote": ""})) == "direct (srflx → host)"
    assert describe(peer(connectionType="-", reason="", status="Idle")) == "idle"


def test_a_tally_counts() -> None:
    assert str(Tally()) == "nothing sent"
    assert str(Tally(3, [])) == "0 of 3 answered, 100 % lost"
    assert str(Tally(4, [1.0, 2.0])) == "2 of 4 answered, 50 % lost; shortest 1.0 ms, mean 1.5 ms, longest 2.0 ms"
