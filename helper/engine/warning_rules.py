"""What a person should know although the tunnel works: warnings that follow from how things are. Pure."""

from dataclasses import dataclass

from helper.diagnose.clock import RIGHT, exactly
from helper.diagnose.portal import STEP as PORTAL
from helper.engine.verdict import CLOCK_LEEWAY, span
from helper.netmon.others import Others

GRACE = 10.0  # seconds that something may be away before a person hears of it
ENDS_SOON = 3600.0  # seconds before the person has to sign in again
OLD = 86400.0  # seconds after which a saved network map is called old
NOTHING_ELSE = Others()
DOCTOR = "`covey doctor` says where it fails; Covey tries on by itself."


@dataclass(frozen=True, slots=True)
class Notice:
    code: str
    sentence: str
    next: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How things are with one session.

    Attributes:
        management_down, signal_down, relay_down: for how many seconds; 0: it is up, or there is none.
        map_age: seconds since the server stood by the list of peers that is in use; None: it does now, or there is none.
        map_limit: the saved list was older than so many days, and is not used; 0: it was not, or there was none.
        clocks: of each peer that told: its name, and by how many seconds its clock is ahead of ours.
        overlay: our network, for people.
        displaced: who took WireGuard's former port; empty: nobody.
        needs_paths: some peer has no direct path.
        session_ends_in: seconds until the person has to sign in again; None: never.
        has_portal: the network wants people to sign in before it lets them out.
        server_clock: seconds that ours is ahead of the server's, where that keeps us from it; None: it does not.
        certificate: what is to be said of the server's certificate, and what to do; None: nothing.
    """

    has_network: bool = True
    management_down: float = 0.0
    signal_down: float = 0.0
    relay_down: float = 0.0
    udp_blocked: bool = False
    map_age: float | None = None
    map_limit: int = 0
    clocks: tuple[tuple[str, float], ...] = ()
    others: Others = NOTHING_ELSE
    overlay: str = ""
    port: int = 0
    displaced: str = ""
    needs_paths: bool = False
    session_ends_in: float | None = None
    has_portal: bool = False
    server_clock: float | None = None
    certificate: tuple[str, str] | None = None


def warnings_of(now: Circumstances) -> list[Notice]:
    """All that are in force. Their words change only with what they say, not by the second."""
    found = _network(now) + (_server_clock(now.server_clock) or _clock(now.clocks)) + _others(now)
    if now.displaced:
        sentence = f"{now.displaced}, so WireGuard uses port {now.port}; rules of a firewall for the former one do not fit."
        found.append(Notice("port-changed", sentence, "Change the rules to fit, or fix a port in the settings of the tray."))
    if now.session_ends_in is not None and 0 < now.session_ends_in < ENDS_SOON:
        found.append(Notice("session-expires-soon", "Your session ends within the hour.", "Sign in again: `covey login`."))
    return found


def _network(now: Circumstances) -> list[Notice]:
    if not now.has_network:
        return [Notice("no-network", "This machine has no network.", "Plug in a cable or join a Wi-Fi; Covey goes on by itself.")]
    found: list[Notice] = []
    if now.has_portal:
        sentence = "This network wants you to sign in first: a page of its own answers in the server's place."
        found.append(Notice("captive-portal", sentence, PORTAL))
    if now.certificate is not None:
        found.append(Notice("certificate-expires-soon", *now.certificate))
    if now.management_down > GRACE:
        sentence = (
            "The management server can't be reached. Tunnels stay up; new machines and changes are not seen until it is back."
        )
        found.append(Notice("management-unreachable", sentence, DOCTOR))
    if now.signal_down > GRACE:
        sentence = (
            "The signal server can't be reached. Tunnels stay up; machines that move or start can't find this one meanwhile."
        )
        found.append(Notice("signal-unreachable", sentence, DOCTOR))
    if now.relay_down > GRACE:
        sentence = "No relay can be reached. Direct paths work on; where there is none, there is no connection."
        found.append(Notice("relay-unreachable", sentence, DOCTOR))
    if now.udp_blocked:
        sentence = "This network lets no UDP out, so everything goes by the relay over TCP and is slower."
        found.append(Notice("udp-blocked", sentence, "Ask who runs this network to let UDP out, or use another one."))
    if now.map_age is not None and now.map_age > OLD:
        sentence = f"The list of machines is about {span(now.map_age)} old; the server has not been reached since."
        found.append(Notice("map-saved-old", sentence, DOCTOR))
    if now.map_limit:
        sentence = (
            f"The saved list of machines is older than {span(now.map_limit * 86400)} and is not used; the server is awaited."
        )
        step = "Where the server can't be reached for longer, allow older lists: `covey up --saved-map-days 0` knows no limit."
        found.append(Notice("map-saved-refused", sentence, step))
    return found


def _server_clock(ahead: float | None) -> list[Notice]:
    """The server's certificate is refused, and our clock differs from the server's."""
    if ahead is None or abs(ahead) <= RIGHT:
        return []
    words = f"{exactly(ahead)} {'ahead of' if ahead > 0 else 'behind'} the server's"
    sentence = f"This machine's clock is {words}, so the server's certificate is not taken."
    return [Notice("clock-off", sentence, "Set this machine's clock: `timedatectl set-ntp true`.")]


def _clock(clocks: tuple[tuple[str, float], ...]) -> list[Notice]:
    """Our clock differs from those of most peers; of a single one, nobody knows which is wrong."""
    if not clocks:
        return []
    apart = sorted((ahead for _, ahead in clocks), key=abs)[(len(clocks) - 1) // 2]
    if abs(apart) <= CLOCK_LEEWAY:
        return []
    whose = f"{clocks[0][0]}'s" if len(clocks) == 1 else f"those of {len(clocks)} other machines"
    sentence = f"This machine's clock is {span(abs(apart))} {'behind' if apart > 0 else 'ahead of'} {whose}."
    doubt = " if it is the wrong one" if len(clocks) == 1 else ""
    return [Notice("clock-off", sentence, f"Set this machine's clock{doubt}: `timedatectl set-ntp true`.")]


def _others(now: Circumstances) -> list[Notice]:
    found, others = [], now.others
    if others.other_vpn:
        sentence = (
            f"This machine's way to the internet leads through another VPN ({others.other_vpn}); direct paths may not work."
        )
        found.append(Notice("other-vpn", sentence, "Leave that VPN, or let it exclude Covey's traffic (split tunnel)."))
    if others.overlaps:
        names = ", ".join(f"{one.interface} ({one.ip}/{one.prefix_length})" for one in others.overlaps[:3])
        sentence = f"Addresses outside Covey lie in its own range {now.overlay}: {names}. Machines there may not be reached."
        found.append(
            Notice("overlay-conflict", sentence, "Ask who runs the Covey server for another range, or renumber that network.")
        )
    if others.strict and now.needs_paths:
        names = ", ".join(others.strict)
        sentence = f"The kernel drops what comes in by {names} (rp_filter is strict), so no direct path can lead over it."
        step = f"`sysctl net.ipv4.conf.{others.strict[0]}.rp_filter=2` allows it (and `all`, where that is 1)."
        found.append(Notice("rp-filter", sentence, step))
    return found
