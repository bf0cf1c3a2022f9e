"""The report for whoever helps: a ZIP file of what is and what was, without secrets, and without names unless asked for."""

import asyncio
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helper.diagnose import system
from helper.diagnose.known import known_from
from helper.diagnose.redaction import WHAT, Known, Redactor
from helper.journal.lines import document
from helper.log_file import FOLDER, tail
from helper.recorder import RecordedEvent
from protocol.version import VERSION

ABOUT = {
    "status.json": "what `covey status --json` says",
    "doctor.json": "what `covey doctor --json` says",
    "events.jsonl": "what happened, as `covey events --json` says it",
    "helper.log": "the end of the helper's log",
    "preferences.json": "what a person set for this machine",
    "ledger.json": "what Covey changed on this machine and has not undone",
    "system.txt": "versions and the machine",
    "sysctl.txt": "settings of the kernel that matter for networks",
}
NEVER = (
    "wireguard.key (this machine's private key), login, network-map and ice-sessions (they hold credentials) are never part of",
    "a report, and neither are passwords, tokens and setup keys, whatever was asked for.",
)
LEDGER = "ledger.json"


@dataclass(slots=True)
class Contents:
    """Attributes:
    documents: JSON by the names of files.
    texts: as they are, not yet redacted.
    missing: why a file is not there.
    """

    documents: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    events: list[RecordedEvent] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


async def make_bundle(state: Path, contents: Contents, *, include_names: bool) -> bytes:
    """Add to the contents what the system and the state folder tell, and pack all of it."""
    texts, missing = await system.look()
    contents.texts |= texts
    contents.missing |= missing
    now = datetime.now(UTC)

    def work() -> bytes:
        contents.texts["helper.log"] = tail(state / FOLDER)
        try:
            contents.documents["ledger.json"] = json.loads((state / LEDGER).read_bytes())
        except (OSError, ValueError, RecursionError):
            contents.missing["ledger.json"] = "there is none, or it can't be read"
        known = known_from(state)
        learn(known, contents)
        return pack(contents, known, now, include_names=include_names)

    return await asyncio.to_thread(work)


def learn(known: Known, contents: Contents) -> None:
    """Take up the names that stand in the contents themselves: peers that were there, the status' own. Pure."""
    known.peers |= {event.peer for event in contents.events if event.peer}
    status = contents.documents.get("status.json")
    if isinstance(status, dict):
        known.own.add(str(status.get("fqdn", "")))
        known.accounts.add(str(status.get("profile", "")))
        for peer in status.get("peers", {}).get("details", []):
            known.peers.add(peer["fqdn"])
            known.keys[peer["publicKey"]] = peer["fqdn"]
        known.keys[str(status.get("publicKey", ""))] = str(status.get("fqdn", "")) or "this-machine"
    for line in contents.texts.get("resolv.conf.txt", "").splitlines():
        word, *names = line.split() or [""]
        if word in ("search", "domain"):
            known.hosts |= {name.strip(".") for name in names if name.strip(".")}
    for known_names in (known.own, known.peers, known.hosts, known.accounts):
        known_names.discard("")
    known.keys.pop("", None)


def pack(contents: Contents, known: Known, now: datetime, *, include_names: bool) -> bytes:
    """The ZIP file. Pure."""
    redactor = Redactor(known, include_names=include_names)
    files = {name: _json(redactor.document(value)) for name, value in contents.documents.items()}
    if contents.events:
        lines = (json.dumps(redactor.document(document(event)), ensure_ascii=False) for event in contents.events)
        files["events.jsonl"] = "\n".join(lines) + "\n"
    files |= {name: redactor.text(text) for name, text in contents.texts.items() if text}
    missing = {name: redactor.text(why) for name, why in contents.missing.items()}
    files["MANIFEST.txt"] = manifest(files, missing, redactor.removed, now, include_names=include_names)
    out, folder = io.BytesIO(), f"covey-report-{now:%Y-%m-%d-%H%M}"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files, key=lambda name: (name != "MANIFEST.txt", name)):
            entry = zipfile.ZipInfo(f"{folder}/{name}", now.timetuple()[:6])
            entry.external_attr = 0o100600 << 16
            archive.writestr(entry, files[name].encode(errors="replace"), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def manifest(
    files: Mapping[str, str], missing: Mapping[str, str], removed: Mapping[str, int], now: datetime, *, include_names: bool
) -> str:
    lines = [f"Report of Covey {VERSION}, made {now:%Y-%m-%d %H:%M:%S} UTC", "", "What is in it", ""]
    for name, text in sorted(files.items()):
        about = ABOUT.get(name, "")
        lines.append(f"  {name:<24} {len(text.encode(errors='replace')):>9} bytes{f'  {about}' if about else ''}")
    if missing:
        lines += ["", "What is not, and why", "", *(f"  {name:<24} {why}" for name, why in sorted(missing.items()))]
    lines += ["", "What was removed", "", *(f"  {line}" for line in NEVER), ""]
    for kind, what in WHAT.items():
        if removed.get(kind):
            lines.append(f"  {removed[kind]:>7} times  {what}")
    if not any(removed.values()):
        lines.append("  Nothing else had to be.")
    lines.append("")
    if include_names:
        lines.append("  Names, e-mail addresses and public IP addresses are in it, for it was made with --include-names.")
    else:
        lines += [
            "  Secrets are gone for good: [removed]. Names, e-mail, public IP and hardware addresses have pseudonyms that",
            "  stand for the same one everywhere in this report, as peer-1, ip-2, host-1: they would tell who and where you are.",
            "  Addresses of private networks and of the overlay are as they were: they say nothing outside.",
        ]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
