"""`covey doctor`: what the helper's doctor found, or what can be found without a helper."""

import json
import socket as sockets
import sys
import threading
from collections.abc import Iterable
from typing import Any

from app.cli.words import plain, sentence
from app.local_call import DOCTOR, ask
from protocol.errors import CoveyError

MARKS = {True: "✓", False: "✗", None: "–"}
PLAIN_MARKS = {True: "ok", False: "!!", None: "--"}  # for terminals that lack those
COLOURS = {True: "32", False: "31", None: "2"}  # SGR: green, red, faint
LOOKUP_TIMEOUT = 4.0  # seconds
SOME_NAME = "example.com"  # is there by RFC 2606: any answer shows that the resolver works
UNKNOWN_NAT = {"mapping": "unknown", "filtering": "unknown", "address": "", "sentence": "Only the helper can find out."}


def examine(socket: str, *, as_json: bool) -> int:
    try:
        document = ask(socket, DOCTOR)
    except CoveyError as error:
        document = without_helper(error)
    if as_json:
        print(json.dumps(document))
    else:
        encoding = (sys.stdout.encoding or "ascii").lower()
        print("\n".join(lines_of(document, PLAIN_MARKS if "utf" not in encoding else MARKS, coloured=sys.stdout.isatty())))
    return int(any(check.get("ok") is False for check in document.get("checks", [])))


def without_helper(error: CoveyError) -> dict[str, Any]:
    """The document that can be made where no helper answers."""
    helper = {"id": "helper", "ok": False, "sentence": sentence(str(error)), "next": error.hint}
    return {"checks": [helper, resolver()], "nat": UNKNOWN_NAT, "peers": []}


def resolver() -> dict[str, Any]:
    answers: list[bool] = []

    def look_up() -> None:
        try:
            sockets.getaddrinfo(SOME_NAME, None, type=sockets.SOCK_STREAM)
            answers.append(True)
        except sockets.gaierror as error:
            answers.append(error.errno not in (sockets.EAI_AGAIN, sockets.EAI_FAIL))
        except OSError:
            answers.append(False)

    thread = threading.Thread(target=look_up, daemon=True)  # one that hangs holds nobody up
    thread.start()
    thread.join(LOOKUP_TIMEOUT)
    if answers == [True]:
        return {"id": "dns", "ok": True, "sentence": "The resolver answers.", "next": ""}
    step = "Check this machine's DNS servers: `resolvectl status`, or /etc/resolv.conf."
    return {"id": "dns", "ok": False, "sentence": "No resolver answers this machine.", "next": step}


def lines_of(document: dict[str, Any], marks: dict[bool | None, str], *, coloured: bool) -> list[str]:
    """A line for each check, with what to do below what needs it; then the NAT, the peers, and all of it in a sentence."""
    checks = [check for check in document.get("checks", []) if isinstance(check, dict)]
    width, indent = max((len(str(check.get("id"))) for check in checks), default=0), len(marks[None])
    lines = []
    for check in checks:
        ok = check.get("ok") if check.get("ok") in (True, False) else None
        mark = f"\033[{COLOURS[ok]}m{marks[ok]}\033[0m" if coloured else marks[ok]
        lines.append(f"{mark} {plain(str(check.get('id'))):<{width}}  {_told(check.get('sentence'))}")
        if check.get("next") and ok is not True:
            lines.append(f"{'':<{indent + width + 1}}  -> {_told(check['next'])}")
    nat = document.get("nat", {})
    lines += ["", f"NAT  mapping {_word(nat, 'mapping')}, filtering {_word(nat, 'filtering')}{_seen(nat)}"]
    if nat.get("sentence"):
        lines.append(f"     {_told(nat['sentence'])}")
    lines += _peers(document.get("peers", []))
    return [*lines, "", _summary(document, checks)]


def _summary(document: dict[str, Any], checks: list[dict[str, Any]]) -> str:
    told = document.get("summary")
    if isinstance(told, dict) and told.get("sentence"):
        return _told(told["sentence"])
    wrong = sum(check.get("ok") is False for check in checks)  # without a helper, or one of another version
    return "1 check failed." if wrong == 1 else f"{wrong} checks failed." if wrong else "No check failed."


def _peers(peers: Iterable[dict[str, Any]]) -> list[str]:
    found = [(plain(str(peer.get("fqdn", "")).partition(".")[0]), peer.get("verdict", {})) for peer in peers]
    width = max((len(name) for name, _ in found), default=0)
    lines = ["", "Peers"] if found else []
    for name, verdict in found:
        lines.append(f"  {name:<{width}}  {_told(verdict.get('sentence'))}")
        if verdict.get("next"):
            lines.append(f"  {'':<{width}}  -> {_told(verdict['next'])}")
    return lines


def _seen(nat: dict[str, Any]) -> str:
    return f"; seen from outside as {_word(nat, 'address')}" if nat.get("address") else ""


def _word(nat: dict[str, Any], key: str) -> str:
    return plain(str(nat.get(key, "unknown")))


def _told(text: object) -> str:
    return sentence(str(text or ""))
