"""`covey-lab demo`: two machines behind two NATs meet before your eyes, first by the relay, then directly."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tests.lab.desktop import Desktop
from tests.lab.meeting import show_logs
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import SERVER, Lab
from tests.lab.node import PATIENCE, LabError, Node, end, wait_for
from tests.lab.programs import BIN, Member, Server, Status
from tests.lab.traffic import start

T = TypeVar("T")
RELAY_COPY, DIRECT_COPY = 15_000_000, 40_000_000  # bytes
LOOK = 15.0  # seconds that the window stays on a screen
PICTURES = Path(__file__).parents[2] / "build/demo"
PICTURE = """
  alice ── router 1 ══ internet ══ router 2 ── bob
 {alice:^9}              ║                {bob}
                    covey-server
                    {server}
"""


@dataclass
class Story:
    """What has happened, told line by line; on a terminal with a live table below."""

    console: Console
    members: list[Member] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    live: Live | None = None

    def tell(self, sentence: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began:5.1f} s[/]  {sentence}")

    def waits(self, what: str, attempt: Callable[[], T | None]) -> T:
        """Wait as `wait_for` does, and keep the table fresh meanwhile."""

        def look() -> T | None:
            if self.live is not None:
                self.live.update(self.table(), refresh=True)
            return attempt()

        return wait_for(what, look)

    def table(self) -> Table:
        table = Table(
            "machine", "address", "peer", "path", "latency", "received", "sent", box=None, header_style="dim", padding=(0, 2)
        )
        for member in self.members:
            status = member.status()
            address = str(status.get("ip") or "-").split("/")[0]
            for peer in status["peers"]["details"] or [Status()]:
                name, latency = str(peer.get("fqdn", "-")).split(".")[0], peer.get("latency")
                carried = (size_of(peer.get(way, 0)) for way in ("transferReceived", "transferSent"))
                table.add_row(member.name, address, name, path_of(peer), f"{latency / 1e6:.1f} ms" if latency else "-", *carried)
        return table

    def on_screen(self) -> AbstractContextManager[object]:
        """A live table where there is a terminal; plain lines elsewhere."""
        if not self.console.is_terminal:
            return nullcontext()
        self.live = Live(console=self.console, auto_refresh=False)
        return self.live

    def show_once(self) -> None:
        """Without a terminal the table is printed when something has changed."""
        if self.live is None:
            self.console.print(self.table())


def path_of(peer: Status) -> str:
    match peer.get("connectionType"):
        case "P2P":
            return "[green]direct[/]"
        case "Relayed":
            return "[yellow]relayed[/]"
        case _:
            return "[dim]connecting[/]"


def size_of(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def demo(console: Console | None = None) -> bool:
    """Run the demonstration to its end; True if all of it happened."""
    console = console or Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 120
    try:
        with Lab() as lab:
            story = Story(console)
            try:
                perform(lab, story)
            except (LabError, RuntimeError) as error:
                console.print(f"\n[red]It did not work out: {escape(str(error))}[/]\n")
                console.print(escape(show_logs(lab, 12)))
                return False
    except LabError as error:
        console.print(f"[red]The lab could not be built: {escape(str(error))}[/]")
        return False
    console.print("[dim]Everything that was started has ended; the networks are gone.[/]")
    return True


def perform(lab: Lab, story: Story) -> None:
    say = story.console.print
    here, there = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    hosts = lab.host("alice", here), lab.host("bob", there)
    say("\n[bold]Covey: two machines behind two NATs meet[/]")
    say(PICTURE.format(alice=hosts[0].address, bob=hosts[1].address, server=SERVER).rstrip() + "\n", markup=False)
    lift = lab.cut(here, there)
    story.tell("The networks are there. UDP between the two homes is cut for now.")
    alice, bob = story.members = [Member(host) for host in hosts]
    for member in story.members:
        member.launch()
    server = Server(lab)
    for member in story.members:
        member.ready()
    story.tell("The server runs, and a helper on each machine. Now one command each:")
    for member in story.members:
        link = server.join_link()
        called = time.monotonic()  # bob's is the one that counts: with it both are there
        say(f"\n         {member.name}$ [bold]covey up --join {escape(shortened(link))}[/]")
        say("         " + member.covey("up", "--join", link, "--hostname", member.name).stdout.strip(), markup=False)
    say("")
    with story.on_screen():
        figures = watch(story, alice, bob, lift, called)
    show_tray(lab, story, alice)
    summary = Table(box=None, show_header=False, padding=(0, 2))
    for what, value in figures.items():
        summary.add_row(what, value)
    say("\n[bold green]They have met.[/]")
    say(summary)


def watch(story: Story, alice: Member, bob: Member, lift: Callable[[], None], called: float) -> dict[str, str]:
    """From joined to direct, with a ping running through it all."""
    address = bob.address
    story.waits("a first ping through the tunnel", lambda: alice.node.answers(address, 0.25))
    first = time.monotonic() - called
    story.tell(f"alice pings bob at {address}: [green]answered[/], {first:.1f} s after bob's command began.")
    for one, other in ((alice, bob), (bob, alice)):
        story.waits("the path through the relay", lambda a=one, b=other: shows(a, b, "Relayed"))  # type: ignore[misc]
    story.tell(f"The path is [yellow]relayed[/]. alice's status says why: {escape(str(alice.peer(bob)['reason']))}")
    story.show_once()
    relayed_rate = copy(story, alice, bob, RELAY_COPY)
    story.tell(f"{RELAY_COPY / 1e6:.0f} MB by the relay, checksum right: {relayed_rate:.0f} Mbit/s.")
    pings = alice.node.spawn("ping", "ping", "-n", "-i0.05", "-W2", address)
    lift()
    lifted = time.monotonic()
    story.tell("UDP between the two homes is free now. Nobody restarts anything; a ping runs every 50 ms.")
    for one, other in ((alice, bob), (bob, alice)):
        story.waits("the direct path", lambda a=one, b=other: shows(a, b, "P2P"))  # type: ignore[misc]
    upgrade = time.monotonic() - lifted
    direct = alice.peer(bob)
    kinds, ends = direct["iceCandidateType"], direct["iceCandidateEndpoint"]
    ways = f"{kinds['local']} → {kinds['remote']} {ends['remote']}"
    story.tell(f"The path is [green]direct[/], {upgrade:.1f} s later: {escape(ways)}.")
    story.show_once()
    direct_rate = copy(story, alice, bob, DIRECT_COPY)
    story.tell(f"{DIRECT_COPY / 1e6:.0f} MB directly, checksum right: {direct_rate:.0f} Mbit/s.")
    pings.send_signal(2)
    pings.wait(PATIENCE)
    sent, lost = ping_result(alice.node)
    if story.live is not None:
        story.live.update(story.table(), refresh=True)
    return {
        "bob's command to first ping": f"{first:.1f} s, by the relay",
        "relay to direct": f"{upgrade:.1f} s after the way was free",
        "pings during the change": f"{sent} sent, {lost} lost",
        "throughput by the relay": f"{relayed_rate:.0f} Mbit/s",
        "throughput directly": f"{direct_rate:.0f} Mbit/s",
        "path": f"direct, {kinds['local']} {ends['local']} → {kinds['remote']} {ends['remote']}",
        "latency": f"{alice.peer(bob)['latency'] / 1e6:.1f} ms",
    }


def show_tray(lab: Lab, story: Story, alice: Member) -> None:
    """What alice sees: on this screen if there is one, else as a picture."""
    if os.environ.get("DISPLAY"):
        words = (str(BIN / "covey-tray"), "--socket", str(alice.socket), "--show-window")
        tray = alice.node.spawn("covey-tray", *words)
        story.tell(f"alice's tray and window are on your screen for {LOOK:g} s.")
        try:
            tray.wait(LOOK)
        except subprocess.TimeoutExpired:
            end(tray)
        return
    desktop = Desktop(alice.node, PICTURES)
    desktop.start_covey(alice, "--show-window")
    desktop.focus(desktop.wait_window("^Covey: "))
    desktop.keys("Tab", "Tab", "Tab", "Tab", "Down")
    picture = desktop.picture("alice")
    story.tell(f"What alice sees is in {picture.relative_to(Path.cwd()) if picture.is_relative_to(Path.cwd()) else picture}")


def shows(one: Member, other: Member, path: str) -> bool:
    peer = one.peer(other)
    return peer.get("status") == "Connected" and peer.get("connectionType") == path


def copy(story: Story, source: Member, target: Member, size: int) -> float:
    """Copy bytes through the tunnel with the table alive; Mbit/s."""
    port = 7000 + len(target.node.processes)
    receiver = start(target.node, f"receive{port}", "receive", target.address, port)
    wait_for("the receiver listens", lambda: target.node.listens(port))
    sender = start(source.node, f"send{port}", "send", target.address, port, size)
    story.waits("the copy ends", lambda: sender.process.poll() is not None)
    sent, received = sender.finish(), receiver.finish()
    if sent["sha256"] != received["sha256"] or received["bytes"] != size:
        raise LabError("the bytes arrived changed")
    return size * 8 / float(sent["seconds"]) / 1e6


def ping_result(node: Node) -> tuple[int, int]:
    """(sent, lost) as ping's last lines say."""
    found = re.search(r"(\d+) packets transmitted, (\d+) received", node.log("ping"))
    if not found:
        raise LabError("ping did not say what it counted")
    return int(found[1]), int(found[1]) - int(found[2])


def shortened(link: str) -> str:
    """A join link for showing: long segments and the key in it cut short."""
    return re.sub(r"(pin\.[\w-]{6}|key\.\w{4})[\w-]+", r"\1…", link)
