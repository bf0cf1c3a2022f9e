"""A controller that does what a test tells it to, and the status that it shows."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from helper.diagnose.doctor import DoctorDocument
from helper.preferences import ASIDE, DEFAULTS, changed
from helper.recorder import Recorder
from protocol.errors import CoveyError, ProfileUnknown
from protocol.join_link import ServerLocation
from protocol.local_api import (
    LinkStatus,
    PeerStatus,
    Preferences,
    Profile,
    ProfilesDocument,
    StatusDocument,
    UpRequest,
    error_body,
)
from protocol.sign_in import Provider, SignInFlow

NEVER = "0001-01-01T00:00:00Z"
FLOW = SignInFlow(
    ServerLocation(("203.0.113.10",), 443, bytes(32)),
    pkce=Provider("covey", "https://203.0.113.10/oauth2/token", authorization_endpoint="https://203.0.113.10/oauth2/auth"),
)


def link(url: str = "https://vpn.example.org:443", error: str = "") -> LinkStatus:
    return {"url": url, "connected": not error, "error": error, "since": "2026-05-04T03:02:01Z"}


def peer(name: str = "bob", number: int = 2, **changes: object) -> PeerStatus:
    """A peer with a direct path, unless changes say otherwise."""
    found: PeerStatus = {
        "fqdn": f"{name}.covey.internal",
        "ip": f"100.92.0.{number}",
        "publicKey": f"{name}KEY".ljust(43, "A") + "=",
        "status": "Connected",
        "connectionType": "P2P",
        "iceCandidateType": {"local": "srflx", "remote": "host"},
        "iceCandidateEndpoint": {"local": "192.0.2.1:51820", "remote": "198.51.100.7:51821"},
        "relayAddress": "",
        "lastWireguardHandshake": "2026-05-04T03:02:01Z",
        "transferReceived": 2048,
        "transferSent": 100,
        "latency": 12_300_000,
        "lossPercent": 0.0,
        "pathSince": "2026-05-04T03:02:01Z",
        "pathMtu": 1280,
        "reason": "",
        "verdict": {"code": "direct", "sentence": "Connected directly.", "next": ""},
    }
    return {**found, **changes}  # type: ignore[typeddict-item]


def relayed(name: str, number: int) -> PeerStatus:
    return peer(
        name,
        number,
        connectionType="Relayed",
        iceCandidateType={"local": "relay", "remote": "srflx"},
        relayAddress="203.0.113.9:50001",
        reason="Relayed because both sides are behind a symmetric NAT.",
    )


def status_document(*peers: PeerStatus, state: str = "Connected") -> StatusDocument:
    is_up = state == "Connected"
    return {
        "daemonVersion": "0.1.0",
        "daemonStatus": state,
        "error": None,
        "notes": [],
        "warnings": [],
        "management": link() if is_up else link(error="no answer"),
        "signal": link() if is_up else link(error="no answer"),
        "stun": {
            "total": 1,
            "available": 1,
            "details": [
                {
                    "uri": "stun:203.0.113.9:3478",
                    "available": True,
                    "error": "",
                    "since": "2026-01-01T00:00:00.000Z",
                    "roundTrip": 12.5,
                }
            ],
        },
        "relays": {
            "total": 1,
            "available": 1,
            "error": "",
            "details": [
                {
                    "uri": "turn:203.0.113.9:3478",
                    "available": True,
                    "transport": "udp",
                    "error": "",
                    "since": "2026-01-01T00:00:00.000Z",
                    "roundTrip": 12.5,
                }
            ],
        },
        "ip": "100.92.0.1/16" if is_up else "",
        "publicKey": "aliceKEY".ljust(43, "A") + "=",
        "fqdn": "alice.covey.internal" if is_up else "",
        "profile": "default",
        "email": "",
        "sessionExpiresAt": "0001-01-01T00:00:00Z",
        "interface": "covey0",
        "usesKernelInterface": False,
        "wireguardPort": 51820,
        "networkMapSaved": False,
        "networkMapAge": 0,
        "candidates": ["host 192.0.2.1:51820"],
        "networks": [],
        "peers": {
            "total": len(peers),
            "connected": sum(one["status"] == "Connected" for one in peers),
            "details": list(peers),
        },
    }


class ScriptedController:
    """Attributes:
    failure: what the next calls raise.
    hold: `up` waits for it.
    owners: who signed in, by the names of profiles.
    uids: who asked for each `up`.
    """

    def __init__(self, *peers: PeerStatus, state: str = "Connected") -> None:
        self.document = status_document(*peers, state=state)
        self.calls: list[object] = []
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.watchers: set[asyncio.Event] = set()
        self.accounts: list[Profile] = [{"name": "default", "server": "https://vpn.example.org:443", "email": ""}]
        self.active = "default"
        self.owners: dict[str, int] = {}
        self.uids: list[int | None] = []
        self.recorder = Recorder()
        self.preferred: Preferences = {**DEFAULTS}

    async def up(self, request: UpRequest, uid: int | None = None) -> None:
        self.calls.append(request)
        self.uids.append(uid)
        self.begun.set()
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.calls.append("given up")
                raise
        self._fail()
        self.show(status_document(*self.document["peers"]["details"]))

    async def down(self) -> None:
        self.calls.append("down")
        self._fail()
        self.show(status_document(state="Idle"))

    async def logout(self) -> None:
        self.calls.append("logout")
        self._fail()
        self.show(status_document(state="NeedsLogin"))

    async def sign_in_flow(self, place: UpRequest) -> SignInFlow:
        self.calls.append(("sign-in-flow", place))
        self._fail()
        return FLOW

    async def extend_session(self, jwt: str) -> str:
        self.calls.append(("extend-session", jwt))
        self._fail()
        return "2026-05-05T03:02:01Z"

    def owner(self, profile: str | None = None) -> int | None:
        name = self.active if profile is None else profile
        if name not in [account["name"] for account in self.accounts]:
            raise ProfileUnknown(f"There is no account {name!r} on this machine.")
        return self.owners.get(name)

    def profiles(self) -> ProfilesDocument:
        return {"active": self.active, "profiles": list(self.accounts)}

    def add_profile(self, name: str) -> None:
        self.calls.append(("add", name))
        self._fail()
        self.accounts.append({"name": name, "server": "", "email": ""})

    async def use_profile(self, name: str) -> None:
        self.calls.append(("use", name))
        self._fail()
        self.owner(name)
        self.active = name

    def remove_profile(self, name: str) -> None:
        self.calls.append(("remove", name))
        self._fail()
        self.owner(name)
        self.accounts = [account for account in self.accounts if account["name"] != name]

    def preferences(self) -> Preferences:
        return self.preferred

    def prefer(self, changes: Mapping[str, Any]) -> None:
        self.calls.append(("prefer", changes))
        self._fail()
        self.preferred = changed(self.preferred, {name: value for name, value in changes.items() if name != ASIDE})

    async def doctor(self) -> DoctorDocument:
        self.calls.append(("doctor",))
        return {
            "checks": [{"id": "udp", "ok": True, "sentence": "UDP passes.", "next": ""}],
            "nat": {"mapping": "none", "filtering": "unknown", "address": "198.51.100.7:5", "sentence": "There is no NAT."},
            "peers": [],
        }

    async def bundle(self, *, include_names: bool) -> bytes:
        self.calls.append(("bundle", include_names))
        self._fail()
        return b"PK a report"

    async def refresh(self) -> None:
        await asyncio.sleep(0)

    def status(self) -> StatusDocument:
        if isinstance(self.failure, ZeroDivisionError):
            raise self.failure
        return self.document

    @contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self.watchers.add(event)
        try:
            yield event
        finally:
            self.watchers.discard(event)

    def show(self, document: StatusDocument) -> None:
        self.document = document
        for event in self.watchers:
            event.set()

    def _fail(self) -> None:
        if self.failure is not None:
            if isinstance(self.failure, CoveyError):
                self.document["error"] = error_body(self.failure)
            raise self.failure
