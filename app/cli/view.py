"""The status document as a person reads it. Pure: from a document to what rich draws.

Names and reasons come from elsewhere: they are shown as they are, never as markup and never obeyed by the terminal.
"""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.words import ago, path_text, plain, sentence, short_name, size, span, until
from protocol.local_api import DEFAULT_PROFILE, LinkStatus, PeerStatus, RelaysStatus, StatusDocument, StunStatus

NO_PEERS = "No other machine is in the network yet."
COLUMNS = ("Name", "Address", "State", "Path", "Latency", "Loss", "Handshake", "Received / sent")
FOLDED = ("Name", "Path")  # of them; the others keep to one line
WIDE, NARROW_COLUMNS = 104, 5  # a terminal of fewer columns than that shows the first five of ours
STATES = {
    "Connected": ("Connected", "bold green"),
    "Connecting": ("Connecting...", "bold yellow"),
    "Idle": ("Not connected. `covey up` connects.", "bold"),
    "NeedsLogin": ("This machine must sign in: `covey login`, or `covey up` with a setup key or a join link.", "bold red"),
    "LoginFailed": ("The server refused the sign-in.", "bold red"),
}


def status_view(status: StatusDocument, width: int) -> RenderableType:
    """The whole status, for a terminal of that many columns."""
    return Group(_head(status), *_peers(status, width))


def peer_table(peers: list[PeerStatus], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in COLUMNS[: len(COLUMNS) if width >= WIDE else NARROW_COLUMNS]:
        table.add_column(title, overflow="fold", no_wrap=title not in FOLDED)
    for peer in peers:
        table.add_row(*_row(peer)[: len(table.columns)])
    return table


def _head(status: StatusDocument) -> Table:
    state, style = STATES.get(status["daemonStatus"], (plain(status["daemonStatus"]), ""))
    lines = Table.grid(padding=(0, 2))
    lines.add_row(Text("Covey", "bold"), Text(state, style))
    if error := status["error"]:
        lines.add_row(
            "", Text(sentence(error["sentence"]), "red").append(f" {sentence(error['hint'])}" if error["hint"] else "", "")
        )
    for note in status["notes"]:
        lines.add_row("", Text(sentence(note), "yellow"))
    for warning in status["warnings"]:
        lines.add_row("Warning", Text(sentence(warning["sentence"]), "yellow").append(f" {sentence(warning['next'])}", ""))
    if status["email"]:
        lines.add_row("Signed in as", _session(status))
    if status["profile"] not in ("", DEFAULT_PROFILE):
        lines.add_row("Account", Text(plain(status["profile"])))
    if status["ip"]:
        kind = "kernel WireGuard" if status["usesKernelInterface"] else "wireguard-go"
        lines.add_row("This device", Text(plain(f"{status['fqdn']}  {status['ip'].partition('/')[0]}")))
        lines.add_row("Interface", Text(plain(f"{status['interface']} ({kind}), UDP port {status['wireguardPort']}")))
    lines.add_row("Management", _link(status["management"]))
    lines.add_row("Signal", _link(status["signal"]))
    lines.add_row("Relay", _relay(status["relays"]))
    lines.add_row("STUN", _stun(status["stun"]))
    if status["networkMapSaved"]:
        age = span(status["networkMapAge"])
        lines.add_row("", Text(f"The list of peers is a saved one, {age} old; the server has not been reached since.", "yellow"))
    return lines


def _session(status: StatusDocument) -> Text:
    """Who signed in, and how long that holds."""
    left, who = until(status["sessionExpiresAt"]), Text(plain(status["email"]))
    if left == "now" or status["daemonStatus"] == "NeedsLogin":
        return who.append("; the session has ended, sign in again: `covey login`", "yellow")
    return who.append("" if left == "-" else f", sign in again {left}", "dim")


def _peers(status: StatusDocument, width: int) -> list[RenderableType]:
    peers = status["peers"]
    if not peers["details"]:
        return [Text(f"\n{NO_PEERS}")] if status["ip"] else []
    title = Text(f"\nPeers: {peers['connected']} of {peers['total']} connected")
    return [title, peer_table(peers["details"], width), *(_why(peer) for peer in peers["details"] if peer["reason"])]


def _why(peer: PeerStatus) -> Text:
    """Why a path is what it is, and what to do about it."""
    step = peer["verdict"]["next"]
    return Text(f"{short_name(peer)}: {sentence(peer['reason'])}", "dim").append(f" {sentence(step)}" if step else "", "")


def _row(peer: PeerStatus) -> list[RenderableType]:
    is_connected = peer["status"] == "Connected"
    style = "green" if is_connected and peer["connectionType"] == "P2P" else "yellow" if is_connected else "dim"
    return [
        Text(short_name(peer)),
        Text(plain(peer["ip"])),
        Text(plain(peer["status"]), style),
        Text(path_text(peer)),
        Text(f"{peer['latency'] / 1e6:.1f} ms" if peer["latency"] else "-"),
        Text(f"{peer['lossPercent']:.0f} %" if is_connected else "-"),
        Text(ago(peer["lastWireguardHandshake"])),
        Text(f"{size(peer['transferReceived'])} / {size(peer['transferSent'])}"),
    ]


def _link(link: LinkStatus) -> Text:
    if not link["url"]:
        return Text("-", "dim")
    age = ago(link["since"])
    how_long = "" if age == "-" else f", for {age.removesuffix(' ago')}"
    if link["connected"]:
        return Text(f"connected to {plain(link['url'])}", "green").append(how_long, "dim")
    text = Text(f"not connected to {plain(link['url'])}", "yellow").append(how_long, "dim")
    return text.append(f": {sentence(link['error'])}" if link["error"] else "", "")


def _relay(relays: RelaysStatus) -> Text:
    details = relays["details"]
    for relay in details:
        if relay["available"]:
            text = Text(plain(f"ready at {relay['uri']} over {relay['transport'].upper()}"), "green")
            return text.append(_trip(relay["roundTrip"]) + _of_all(relays["available"], relays["total"]), "dim")
    for error in (relays.get("error", ""), *(relay["error"] for relay in details)):
        if error:
            return Text(sentence(error), "yellow")
    return Text("none reached yet", "yellow") if details else Text("-", "dim")


def _stun(stun: StunStatus) -> Text:
    details = stun["details"]
    for server in details:
        if server["available"]:
            text = Text(plain(f"answered by {server['uri']}"), "green")
            return text.append(_trip(server["roundTrip"]) + _of_all(stun["available"], stun["total"]), "dim")
    for server in details:
        if server["error"]:
            return Text(plain(f"no answer from {server['uri']}"), "yellow").append(f": {sentence(server['error'])}", "")
    return Text("none asked yet", "yellow") if details else Text("-", "dim")


def _trip(milliseconds: float) -> str:
    return f", {milliseconds:.1f} ms away" if milliseconds else ""


def _of_all(available: int, total: int) -> str:
    return f"; {available} of {total} servers work" if total > 1 else ""
