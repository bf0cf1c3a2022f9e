"""`covey status` and `covey peers`: the status document for people."""

import asyncio
import json
import pathlib
import sys
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.helper_client import HelperClient, run
from protocol.errors import CoveyError
from protocol.local_api import LinkStatus, PeerStatus, StatusDocument

STATES = {
    "Connected": ("Connected", "green"),
    "Connecting": ("Connecting", "yellow"),
    "Idle": ("Not connected. `covey up` connects.", "dim"),
    "NeedsLogin": ("This machine must sign in: `covey up` with a setup key or a join link.", "red"),
    "LoginFailed": ("The server refused the sign-in.", "red"),
}


def show_status(socket: pathlib.Path, *, as_json: bool) -> None:
    status: StatusDocument = run(socket, lambda client: client.status())
    if as_json:
        print(json.dumps(status))
    else:
        Console(highlight=False).print(render(status))


def show_peers(socket: pathlib.Path, *, as_json: bool) -> None:
    status: StatusDocument = run(socket, lambda client: client.status())
    if as_json:
        print(json.dumps(status["peers"]["details"]))
    elif status["peers"]["details"]:
        Console(highlight=False).print(peer_table(status["peers"]["details"]))
    else:
        print("No other machine is in the network yet.")


def watch_status(socket: pathlib.Path, *, as_json: bool) -> None:
    """Show the status as it changes, over restarts of the helper, until interrupted."""
    asyncio.run(_watch(socket, as_json or not sys.stdout.isatty()))


async def _watch(socket: pathlib.Path, as_json: bool) -> None:
    console = Console(highlight=False)
    with Live(Text(""), console=console, auto_refresh=False, transient=False) if not as_json else _Lines() as live:
        was_there = False
        while True:
            try:
                async with HelperClient(socket) as client:
                    async for status in client.events():
                        was_there = True
                        if isinstance(live, Live):
                            live.update(render(status), refresh=True)
                        else:
                            print(json.dumps(status), flush=True)
            except CoveyError as error:
                if not was_there:
                    raise
                if isinstance(live, Live):
                    live.update(Text(f"{error}; waiting for it to come back", "yellow"), refresh=True)
            await asyncio.sleep(1)


class _Lines:
    """Stands where Live would, for output that is no terminal."""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def render(status: StatusDocument) -> RenderableType:
    """The whole status as a person reads it. Names from elsewhere are shown as they are, never as markup."""
    sentence, style = STATES.get(status["daemonStatus"], (status["daemonStatus"], ""))
    lines = Table.grid(padding=(0, 2))
    lines.add_row(Text("Covey", "bold"), Text(sentence, style))
    if status["error"]:
        lines.add_row("", Text(f"{status['error']['sentence']} {status['error']['hint']}", "red"))
    for note in status["notes"]:
        lines.add_row("", Text(note, "yellow"))
    if status["ip"]:
        kind = "kernel WireGuard" if status["usesKernelInterface"] else "wireguard-go"
        lines.add_row("This device", Text(f"{status['fqdn']}  {status['ip'].split('/')[0]}"))
        lines.add_row("Interface", Text(f"{status['interface']} ({kind}), UDP port {status['wireguardPort']}"))
    lines.add_row("Management", _link(status["management"]))
    lines.add_row("Signal", _link(status["signal"]))
    lines.add_row("Relay", _relay(status))
    if status["networkMapSaved"]:
        lines.add_row("", Text("The peers are those of the last time; the server has not been reached since.", "yellow"))
    peers = status["peers"]
    if not peers["details"]:
        return Group(lines, Text("\nNo other machine is in the network yet." if status["ip"] else ""))
    title = Text(f"\nPeers: {peers['connected']} of {peers['total']} connected")
    reasons = [Text(f"{_short(peer)}: {peer['reason']}", "dim") for peer in peers["details"] if peer["reason"]]
    return Group(lines, title, peer_table(peers["details"]), *reasons)


def peer_table(peers: list[PeerStatus]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Name", "Address", "State", "Path", "Latency", "Loss", "Handshake", "Received / sent"):
        table.add_column(title, overflow="fold")
    for peer in peers:
        connected = peer["status"] == "Connected"
        style = "green" if connected and peer["connectionType"] == "P2P" else "yellow" if connected else "dim"
        table.add_row(
            Text(_short(peer)),
            peer["ip"],
            Text(peer["status"], style),
            Text(path_text(peer)),
            f"{peer['latency'] / 1e6:.1f} ms" if peer["latency"] else "-",
            f"{peer['lossPercent']:.0f} %" if connected else "-",
            ago(peer["lastWireguardHandshake"]),
            f"{size(peer['transferReceived'])} / {size(peer['transferSent'])}",
        )
    return table


def path_text(peer: PeerStatus) -> str:
    kinds = peer["iceCandidateType"]
    match peer["connectionType"]:
        case "P2P":
            return f"direct ({kinds['local']} - {kinds['remote']})" if kinds["local"] else "direct"
        case "Relayed":
            return f"relayed via {peer['relayAddress']}" if peer["relayAddress"] else "relayed"
        case _:
            return "-"


def ago(moment: str) -> str:
    """How long ago an ISO time is, in the largest unit that fits; - for never."""
    if not moment or moment.startswith("0001"):
        return "-"
    try:
        seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    except ValueError:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def size(count: int) -> str:
    """Bytes as a person reads them."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _short(peer: PeerStatus) -> str:
    return peer["fqdn"].partition(".")[0] or peer["publicKey"][:8]


def _link(link: LinkStatus) -> Text:
    since = ago(link["since"])
    if link["connected"]:
        return Text(f"connected to {link['url']}", "green").append(f", since {since}" if since != "-" else "", "dim")
    if not link["url"]:
        return Text("-", "dim")
    text = Text(f"not connected to {link['url']}", "yellow").append(f", since {since}" if since != "-" else "", "dim")
    return text.append(f": {link['error']}" if link["error"] else "")


def _relay(status: StatusDocument) -> Text:
    for relay in status["relays"]["details"]:
        if relay["available"]:
            return Text(f"ready at {relay['uri']} over {relay['transport'].upper()}", "green")
        if relay["error"]:
            return Text(relay["error"], "yellow")
        return Text("none reached yet", "yellow")
    return Text("-", "dim")
