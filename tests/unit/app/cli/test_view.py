import io

import pytest
from rich.console import Console

from app.cli.view import peer_table, status_view
from protocol.local_api import StatusDocument, StunServerStatus
from tests.unit.helper.local_api.scripted import NEVER, link, peer, relayed, status_document

HOSTILE = "[bold red]x[/]\x1b]0;title\x07\r\n"


def drawn(status: StatusDocument, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(status_view(status, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("Connected", "Connected"),
        ("Connecting", "Connecting"),
        ("Idle", "`covey up` connects"),
        ("NeedsLogin", "must sign in"),
        ("LoginFailed", "refused the sign-in"),
        ("FromTheFuture", "FromTheFuture"),
    ],
)
def test_the_first_line_says_the_state(state: str, words: str) -> None:
    assert words in drawn(status_document(state=state)).splitlines()[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "alice@example.org, sign in again in "),
        ({"sessionExpiresAt": NEVER}, "alice@example.org\n"),
        ({"sessionExpiresAt": "2020-01-01T00:00:00Z"}, "the session has ended, sign in again: `covey login`"),
        ({"daemonStatus": "NeedsLogin"}, "the session has ended"),
        ({"profile": "work"}, "Account"),
    ],
)
def test_it_says_who_signed_in_and_for_how_long(changes: dict[str, str], words: str) -> None:
    given = {"email": "alice@example.org", "sessionExpiresAt": "2099-01-01T00:00:00Z"}
    status: StatusDocument = {**status_document(), **given, **changes}  # type: ignore[typeddict-item]
    text = "\n".join(line.rstrip() for line in drawn(status).splitlines()) + "\n"
    assert words in text


def test_an_error_stands_there_with_what_to_do() -> None:
    status = status_document(state="LoginFailed")
    status["error"] = {"code": "setup-key-expired", "sentence": "the setup key has expired", "hint": "Ask for another."}
    assert "The setup key has expired. Ask for another." in drawn(status)


def test_warnings_and_verdicts_say_what_to_do() -> None:
    phone = relayed("phone", 3)
    phone["verdict"] = {"code": "relayed-firewall", "sentence": phone["reason"], "next": "Let UDP port 51821 in."}
    status = status_document(phone)
    status["warnings"] = [{"code": "udp-blocked", "sentence": "No UDP gets out.", "next": "Let it out.", "since": NEVER}]
    assert "No UDP gets out. Let it out." in drawn(status)
    assert f"{phone['reason']} Let UDP port 51821 in." in drawn(status)


def test_a_server_that_is_not_reached_says_since_when_and_why() -> None:
    status = status_document()
    status["management"] = link("https://vpn.example.org:443", "the connection was refused")
    assert "not connected to https://vpn.example.org:443" in drawn(status)
    assert "The connection was refused." in drawn(status)


def test_a_relay_that_is_not_reached_says_why() -> None:
    status = status_document()
    status["relays"]["details"][0] |= {"available": False, "error": "no answer"}
    assert "No answer." in drawn(status)
    status["relays"]["details"] = []
    assert drawn(status)


def test_relay_and_stun_say_how_far_away_they_are_and_how_many_work() -> None:
    status = status_document()
    status["relays"]["details"][0]["roundTrip"], status["relays"]["total"], status["relays"]["available"] = 12.34, 2, 1
    assert "over UDP, 12.3 ms away; 1 of 2 servers work" in drawn(status)
    server: StunServerStatus = {
        "uri": "stun:203.0.113.9:3478", "available": True, "error": "", "since": NEVER, "roundTrip": 8.0
    }  # fmt: skip
    status["stun"] = {"total": 1, "available": 1, "details": [server]}
    assert "answered by stun:203.0.113.9:3478, 8.0 ms away" in drawn(status)
    server |= {"available": False, "error": "its name is not found"}
    assert "no answer from stun:203.0.113.9:3478: Its name is not found." in drawn(status)


def test_peers_of_a_saved_map_are_said_to_be_old() -> None:
    status = status_document(peer())
    status["networkMapSaved"], status["networkMapAge"] = True, 3 * 86400 + 60
    status["notes"] = ["This machine's key was damaged"]
    assert "a saved one, 3 d old" in drawn(status)
    assert "This machine's key was damaged." in drawn(status)


def test_what_others_chose_is_neither_markup_nor_obeyed() -> None:
    name = HOSTILE + ".covey.internal"
    hostile = peer(fqdn=name, status=HOSTILE, reason=HOSTILE, relayAddress=HOSTILE, connectionType="Relayed")
    status = status_document(hostile)
    status["fqdn"], status["notes"], status["daemonStatus"] = name, [HOSTILE], HOSTILE
    status["management"] = link(HOSTILE, HOSTILE)
    text = drawn(status)
    assert text.count("[bold red]x[/]") >= 8
    assert all(char.isprintable() for line in text.split("\n") for char in line)


@pytest.mark.parametrize("width", [20, 40, 80, 100, 120, 1000])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = drawn(status_document(peer("bob"), relayed("a-machine-with-a-rather-long-name", 3)), width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_a_wide_terminal_has_a_line_a_peer_with_everything() -> None:
    lines = drawn(status_document(peer("bob"), relayed("carol", 3))).splitlines()
    bob = next(line for line in lines if line.startswith("bob"))
    for part in ("100.92.0.2", "Connected", "direct (srflx → host)", "12.3 ms", "0 %", " ago", "2.0 KiB / 100 B"):
        assert part in bob


def test_eighty_columns_keep_a_line_a_peer() -> None:
    lines = drawn(status_document(peer("bob"), relayed("carol", 3)), 80).splitlines()
    assert next(line for line in lines if line.startswith("carol")).split() == [
        "carol", "100.92.0.3", "Connected", "relayed", "via", "203.0.113.9:50001", "12.3", "ms",
    ]  # fmt: skip


def test_the_table_takes_what_everybody_may_see() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(peer_table([peer(publicKey="", iceCandidateEndpoint={"local": "", "remote": ""})], 200))
