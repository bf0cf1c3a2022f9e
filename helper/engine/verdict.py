"""Why a connection is what it is: a code, a sentence, and what can be done on which side. Pure.

It goes by what both ends know of their own networks. Of a peer that sends no report it says what can be told from here.
"""

from dataclasses import dataclass
from typing import Literal

from helper.peer.events import State
from helper.peer.report import Report

TRIED_AFTER = 4.0  # seconds that a way must have been tried without success before it is called closed
CLOCK_LEEWAY = 60.0  # seconds between two clocks that trouble nobody
NOT_TOGETHER_AFTER = 15.0  # seconds without a tunnel before two versions are suspected
NO_RELAY = "Run `covey doctor` on both machines: it says which of the relay's ports are closed."


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` tells what is and why; `next` what to do about it, empty where there is nothing to do."""

    code: str
    sentence: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known here of one connection, apart from the reports.

    Attributes:
        name: of the peer, for people.
        path: direct or relayed; empty: none.
        age: seconds since that path was chosen, or since the last one went.
        farewell: the peer said that it goes offline, or that it sleeps until there is traffic; empty: it said nothing.
        without_ice: it asks for a relay of a kind that we do not speak.
        direct_pairs: candidate pairs without a relay that were formed.
        answering_for: seconds that the best of them has answered; 0: none does.
        symmetric_there: the peer comes from other ports than those that it names.
        hidden_there: the peer names no address that could be reached from elsewhere.
        same_public_address: both are behind the same router.
        clock_ahead: seconds by which the peer's clock is ahead of ours.
        relay_error: why we reach no relay.
    """

    name: str
    state: State
    path: Literal["", "direct", "relayed"] = ""
    age: float = 0.0
    has_network: bool = True
    signal_up: bool = True
    farewell: Literal["", "offline", "idle"] = ""
    without_ice: bool = False
    direct_pairs: int = 0
    pairs: int = 0
    answering_for: float = 0.0
    symmetric_there: bool = False
    hidden_there: bool = False
    same_public_address: bool = False
    clock_ahead: float = 0.0
    relay_error: str = ""


def verdict(own: Report, theirs: Report | None, facts: Facts) -> Verdict:
    """`theirs` is None for a peer that has sent no report."""
    match facts.state:
        case State.CONNECTED | State.SHAKING_HANDS if facts.path == "relayed":
            return _relayed(own, theirs or Report(), facts)
        case State.CONNECTED:
            return Verdict("direct", f"Connected directly to {facts.name}.")
        case State.SHAKING_HANDS:
            return _without_handshake(own, theirs, facts)
        case State.IDLE:
            return Verdict("idle", f"Nothing is sent to {facts.name}; it is connected as soon as something is.")
        case State.CHECKING:
            return _checking(own, theirs, facts)
        case State.IDLE:
            return Verdict("idle", f"There is no traffic with {facts.name}; the first packet connects.")
        case _:
            return _calling(facts)


# ---- not connected


def _calling(facts: Facts) -> Verdict:
    name = facts.name
    if not facts.has_network:
        return _no_network()
    if facts.without_ice:
        sentence = f"{name} does without direct connections and asks for a relay of a kind that Covey does not speak."
        return Verdict("without-ice", sentence, f"Allow direct connections (P2P) on {name}, or install Covey there.")
    if not facts.signal_up:
        return _signal_down(name)
    match facts.farewell:
        case "offline":
            sentence = f"{name} went offline and said so; it is connected again as soon as it is back."
            return Verdict("farewell", sentence, f"Run `covey up` on {name}.")
        case "idle":
            return Verdict("farewell", f"{name} closed the connection because there was no traffic; it is being called back.")
        case _:
            return Verdict(
                "no-answer",
                f"{name} does not answer our calls: it is off, offline or not running Covey.",
                f"Switch {name} on, see whether it has a network, and run `covey status` there.",
            )


def _signal_down(name: str) -> Verdict:
    step = "`covey doctor` says where it fails; the call is made as soon as the server is back."
    return Verdict("signal-down", f"The signal server can't be reached, so {name} can't be called.", step)


def _checking(own: Report, theirs: Report | None, facts: Facts) -> Verdict:
    if not facts.has_network:
        return _no_network()
    if not facts.signal_up and facts.age > TRIED_AFTER:  # what was agreed on before leads nowhere
        return _signal_down(facts.name)
    if mismatch := _mismatch(own, theirs, facts):
        return mismatch
    tried = f"None of {facts.pairs} candidate pairs answers yet"
    if own.relay or (theirs is not None and theirs.relay):
        return Verdict("checking", f"{tried}.")
    why = f" ({facts.relay_error})" if facts.relay_error else ""
    if facts.age < TRIED_AFTER and not why:
        return Verdict("checking", f"{tried}, and the relay is not reached yet.")
    whose = "" if theirs is None else ", neither from here nor from there"
    blocked = _blocked(own, theirs, facts.name)
    lets = f" {blocked}." if blocked else ""
    return Verdict("no-relay-no-direct", f"{tried}, and no relay can be reached{whose}{why}.{lets}", NO_RELAY)


def _without_handshake(own: Report, theirs: Report | None, facts: Facts) -> Verdict:
    if theirs is not None and abs(facts.clock_ahead) > CLOCK_LEEWAY:
        apart = span(abs(facts.clock_ahead))
        where = "ahead of" if facts.clock_ahead > 0 else "behind"
        return Verdict(
            "clock-skew",
            f"A path is open, but WireGuard's handshake is refused; the clock of {facts.name} is {apart} {where} this one's,"
            " and WireGuard takes a handshake from the past for a repeated one.",
            f"Set the clock that is wrong (`timedatectl set-ntp true`), here or on {facts.name}.",
        )
    if mismatch := _mismatch(own, theirs, facts):
        return mismatch
    return Verdict(
        "handshake-missing",
        "A path is open, but WireGuard's handshake has not come through yet.",
        ""
        if facts.age < TRIED_AFTER
        else f"If it stays so, restart Covey on {facts.name}: its key or its clock may have been set back.",
    )


def _mismatch(own: Report, theirs: Report | None, facts: Facts) -> Verdict | None:
    if theirs is None or not theirs.version or facts.age < NOT_TOGETHER_AFTER:
        return None
    if _generation(own.version) == _generation(theirs.version):
        return None
    older = facts.name if _generation(theirs.version) < _generation(own.version) else "this machine"
    return Verdict(
        "version-mismatch",
        f"No tunnel comes about; {facts.name} runs Covey {theirs.version} and this machine {own.version}.",
        f"Update Covey on {older}.",
    )


def _generation(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _no_network() -> Verdict:
    return Verdict("no-network", "This machine has no network.", "Plug in a cable or join a Wi-Fi; Covey goes on by itself.")


def _blocked(own: Report, theirs: Report | None, name: str) -> str:
    """Who lets no UDP out, as half a sentence; empty: nobody that we know of."""
    there = theirs is not None and theirs.udp_blocked
    if own.udp_blocked and there:
        return "No UDP seems to get out of either network"
    where = "this network" if own.udp_blocked else f"{name}'s network" if there else ""
    return f"No UDP seems to get out of {where}" if where else ""


# ---- relayed


def _relayed(own: Report, theirs: Report, facts: Facts) -> Verdict:
    name, known = facts.name, theirs != Report()
    here, there = f"UDP port {own.wireguard_port}", f"UDP port {theirs.wireguard_port}" if theirs.wireguard_port else "UDP"
    if own.udp_blocked or theirs.udp_blocked:
        return _udp_blocked(own, theirs, name)
    if facts.answering_for > TRIED_AFTER:
        sentence = f"Relayed although a direct path to {name} answers: the relay is faster or loses less at present."
        return Verdict("relayed-by-quality", sentence)
    if facts.hidden_there and not known:
        sentence = f"Relayed because {name} knows no public address of its own; UDP may be blocked on its side."
        return Verdict("relayed-udp-blocked-there", sentence, f"Let UDP out on {name}'s network.")
    if facts.age < TRIED_AFTER or (own.hears and theirs.hears):
        return Verdict("relayed-checking", "Relayed for now; direct paths are being tried.")
    if own.hides_addresses or theirs.hides_addresses:
        side = "this machine's settings keep" if own.hides_addresses else f"{name}'s settings keep"
        if not facts.direct_pairs or facts.hidden_there:
            where = "here" if own.hides_addresses else "there"
            return Verdict(
                f"relayed-hidden-{where}",
                f"Relayed because {side} its network interfaces from being used.",
                f"Look at the interface blacklist {'of this machine' if own.hides_addresses else f'on {name}'}.",
            )
    if not facts.direct_pairs:
        sentence = f"Relayed because this machine and {name} have no kind of address in common (IPv4 or IPv6)."
        return Verdict("relayed-no-common-family", sentence)
    if facts.same_public_address:
        return Verdict(
            "relayed-same-nat-no-hairpin",
            f"Relayed because this machine and {name} are behind the same router or carrier, which does not lead its own"
            " users to each other (no hairpin), and they do not see each other's private addresses.",
            "Put both into one local network, or let the router do NAT loopback (hairpin); a carrier's users need IPv6.",
        )
    if symmetric := _symmetric(own, theirs, facts, here, there):
        return symmetric
    if known and own.hears != theirs.hears:
        return _one_way(own.hears, name, here, there)
    return _firewall(own, theirs, facts, here, there)


def _udp_blocked(own: Report, theirs: Report, name: str) -> Verdict:
    if own.udp_blocked and theirs.udp_blocked:
        sentence = f"Relayed because this network and {name}'s let no UDP out; only TCP reaches the relay."
        return Verdict("relayed-udp-blocked-both", sentence, "Let UDP out on both networks.")
    if own.udp_blocked:
        sentence = "Relayed because this network lets no UDP out; only TCP reaches the relay."
        return Verdict("relayed-udp-blocked-here", sentence, "Ask who runs this network to let UDP out, or use another one.")
    sentence = f"Relayed because {name}'s network lets no UDP out."
    return Verdict("relayed-udp-blocked-there", sentence, f"Ask who runs {name}'s network to let UDP out, or move {name}.")


def _symmetric(own: Report, theirs: Report, facts: Facts, here: str, there: str) -> Verdict | None:
    name, what = facts.name, "a NAT that uses another port for each destination (symmetric)"
    ours, its = own.is_symmetric, theirs.is_symmetric or facts.symmetric_there
    if ours and its:
        return Verdict(
            "relayed-both-symmetric",
            f"Relayed because both sides are behind {what}.",
            f"Forward {there} to {name} on its router, or {here} to this machine on this router; one of the two is enough.",
        )
    if ours:
        return Verdict(
            "relayed-symmetric-here",
            f"Relayed because this side is behind {what}, and {name}'s lets in nobody it has not called.",
            f"Forward {there} to {name} on its router, or {here} to this machine on this one.",
        )
    if its:
        return Verdict(
            "relayed-symmetric-there",
            f"Relayed because {name} is behind {what}, and this side's router lets in nobody it has not called.",
            f"Forward {here} to this machine on this router, or {there} to {name} on its router.",
        )
    return None


def _one_way(hears: bool, name: str, here: str, there: str) -> Verdict:
    if hears:
        return Verdict(
            "relayed-one-way-here-there",
            f"Relayed because packets of {name} reach this machine, but ours do not reach {name}.",
            f"Let {there} in for {name} on its firewall, and UDP out on this machine's.",
        )
    return Verdict(
        "relayed-one-way-there-here",
        f"Relayed because our packets reach {name}, but those of {name} do not reach this machine.",
        f"Let {here} in on this machine's firewall or router, and UDP out on {name}'s.",
    )


def _firewall(own: Report, theirs: Report, facts: Facts, here: str, there: str) -> Verdict:
    name = facts.name
    vpn = "this machine" if own.in_other_vpn else name if theirs.in_other_vpn else ""
    also = f" {'This' if vpn == 'this machine' else 'That'} machine's traffic runs through another VPN." if vpn else ""
    if facts.hidden_there:
        sentence = f"Relayed because {name} knows no address that can be reached from here.{also}"
    else:
        sentence = (
            f"Relayed because none of {facts.direct_pairs} direct candidate pairs answers: a firewall on this side or"
            f" {name}'s drops them. They are tried on.{also}"
        )
    return Verdict(
        "relayed-firewall", sentence, f"Let {there} in for {name} on its firewall, or {here} for this machine on this one."
    )


def span(seconds: float) -> str:
    """A length of time, in its greatest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{round(seconds)} seconds"
