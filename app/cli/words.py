"""Times, sizes and names as people read them. Pure."""

from datetime import UTC, datetime

from protocol.local_api import PeerStatus, StatusDocument


def plain(text: str) -> str:
    """Text from elsewhere without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def sentence(text: str) -> str:
    """Text as a whole sentence on one line."""
    text = plain(" ".join(text.split()))
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!", "…")) or not text else ".")


def ago(moment: str, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 time is, in the largest unit that fits; `-` for never."""
    if not moment or moment.startswith("0001"):
        return "-"
    try:
        past = datetime.fromisoformat(moment)
        seconds = max(0, int(((now or datetime.now(UTC)) - past.astimezone(UTC)).total_seconds()))
    except (ValueError, OverflowError):
        return "-"
    return f"{span(seconds)} ago"


def span(seconds: int) -> str:
    """A length of time, in the largest unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def until(moment: str, now: datetime | None = None) -> str:
    """How long it is until an ISO 8601 time: `in 3 h`, in the largest unit that fits; `now` for the past, `-` for never."""
    if not moment or moment.startswith("0001"):
        return "-"
    try:
        seconds = int((datetime.fromisoformat(moment).astimezone(UTC) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"in {seconds // length} {unit}"
    return f"in {seconds} s" if seconds > 0 else "now"


def size(count: int) -> str:
    """Bytes in binary units."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def short_name(peer: PeerStatus) -> str:
    """A peer's name without the domain; what else is known of it if it has none."""
    return plain(peer["fqdn"].partition(".")[0] or peer["publicKey"][:8] or peer["ip"])


def path_text(peer: PeerStatus) -> str:
    """`direct (srflx → host)`, `relayed via ADDRESS` or `-`."""
    kinds = peer["iceCandidateType"]
    match peer["connectionType"]:
        case "P2P":
            return plain(f"direct ({kinds['local']} → {kinds['remote']})") if kinds["local"] else "direct"
        case "Relayed":
            return plain(f"relayed via {peer['relayAddress']}") if peer["relayAddress"] else "relayed"
        case _:
            return "-"


def own_name(status: StatusDocument) -> str:
    """This machine: `NAME (ADDRESS)`."""
    return plain(f"{status['fqdn']} ({status['ip'].partition('/')[0]})")
