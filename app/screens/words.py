"""What the windows say of peers, in words and numbers. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.cli.words import ago, short_name, size
from app.state import moment
from app.tray.names import one_line
from protocol.local_api import PeerStatus

LONGEST_NAME = 80  # characters
NEVER = "-"


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A line of the list. `latency` in ms and `loss` in percent are None while unknown, and sort last."""

    key: str
    name: str
    address: str
    state: str
    path: str
    latency: float | None
    loss: float | None

    @classmethod
    def of(cls, peer: PeerStatus) -> "PeerRow":
        is_connected = peer["status"] == "Connected"
        return cls(
            key=key_of(peer),
            name=one_line(short_name(peer), LONGEST_NAME),
            address=one_line(peer["ip"], LONGEST_NAME),
            state=state_text(peer),
            path=path_word(peer),
            latency=peer["latency"] / 1e6 if is_connected and peer["latency"] > 0 else None,
            loss=float(peer["lossPercent"]) if is_connected else None,
        )


def key_of(peer: PeerStatus) -> str:
    """What tells a peer from the others: its key, or its address where keys are not for us to see."""
    return peer["publicKey"] or peer["ip"]


def state_text(peer: PeerStatus) -> str:
    match peer["status"]:
        case "Connected":
            return "Connected"
        case "Idle":
            return "Asleep"
        case _:
            return "Not connected"


def path_word(peer: PeerStatus) -> str:
    match peer["connectionType"]:
        case "P2P":
            return "Direct"
        case "Relayed":
            return "Relayed"
        case _:
            return NEVER


def latency_text(milliseconds: float | None) -> str:
    """`12 ms`, `0.4 ms`, or `-`."""
    if milliseconds is None:
        return NEVER
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def loss_text(percent: float | None) -> str:
    if percent is None:
        return NEVER
    return "none" if percent == 0 else f"{percent:.0f} %" if percent >= 1 else f"{percent:.1f} %"


def detail_fields(peer: PeerStatus, now: datetime) -> list[tuple[str, str]]:
    """What the window tells of one peer: pairs of a name and a text, in order."""
    kinds, ends, relay = peer["iceCandidateType"], peer["iceCandidateEndpoint"], peer["relayAddress"]
    path = {"P2P": "Direct", "Relayed": f"Relayed by {relay}" if relay else "Relayed"}.get(peer["connectionType"], "None")
    since = moment(peer["pathSince"])
    if since is not None and path != "None":
        path = f"{path}, since {since.astimezone().strftime('%d %b, %H:%M:%S')}"
    handshake = ago(peer["lastWireguardHandshake"], now)
    fields = [
        ("Path", path),
        ("This side", _end(ends["local"], kinds["local"])),
        ("Other side", _end(ends["remote"], kinds["remote"])),
        ("Handshake", "never" if handshake == NEVER else handshake),
        ("Received", size(peer["transferReceived"])),
        ("Sent", size(peer["transferSent"])),
    ]
    return [(name, one_line(text, 200)) for name, text in fields]


KINDS = {
    "host": "its own address",
    "srflx": "as seen from outside",
    "prflx": "as the other side sees it",
    "relay": "at the relay",
}


def _end(endpoint: str, kind: str) -> str:
    if not endpoint:
        return NEVER
    return f"{endpoint} ({KINDS.get(kind, kind)})" if kind else endpoint


def countdown(seconds: float) -> str:
    """`4:32`, for what ends within the hour; `2 h 5 min` beyond."""
    left = max(0, int(seconds))
    return f"{left // 60}:{left % 60:02}" if left < 3600 else f"{left // 3600} h {left % 3600 // 60} min"


def since_text(text: str, now: datetime | None = None) -> str:
    """A time of a status document as `14:02:11 (3 min ago)`."""
    then = moment(text)
    if then is None:
        return NEVER
    return f"{then.astimezone().strftime('%H:%M:%S')} ({ago(text, now or datetime.now(UTC))})"
