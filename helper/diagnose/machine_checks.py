"""The doctor's looks at this machine: network, interface, port, firewall, other VPNs, names."""

import asyncio
import contextlib
import ipaddress
import json
import socket
import sys

from helper.diagnose.check import Check
from helper.diagnose.firewall_rules import Datagram, Ruleset
from helper.diagnose.patient import Patient
from helper.engine.local_network import source_for
from helper.names import look_up

NFT_TIMEOUT = 3.0  # seconds
LOOKUP_TIMEOUT = 4.0
SOME_NAME = "example.com"  # is there by RFC 2606: any answer shows that the resolver works


def signed_in(patient: Patient) -> Check:
    error = patient.status["error"]
    if error is not None and patient.status["daemonStatus"] in ("NeedsLogin", "LoginFailed"):
        return Check(False, error["sentence"], error["hint"])
    if patient.server is None:
        return Check(
            False, "This machine has not joined a network.", "Join with the link that you were given: `covey up --join LINK`."
        )
    return Check(True, f"This machine belongs to the network of {patient.server.url}.")


def interface(patient: Patient) -> Check:
    if patient.is_up:
        kind = "in the kernel" if patient.status["usesKernelInterface"] else "in userspace"
        if sys.platform == "linux" and not _exists(patient.interface):
            return Check(
                False,
                f"The interface {patient.interface} is gone.",
                "It is set up again by itself; else disconnect and connect, in the tray or by `covey down` and `covey up`.",
            )
        return Check(True, f"The interface {patient.interface} is up with {patient.status['ip']}, WireGuard runs {kind}.")
    error = patient.status["error"]
    if patient.wants_up:
        sentence = f"The tunnel is down: {error['sentence']}" if error else "The tunnel is down, though it is wanted."
        return Check(False, sentence, error["hint"] if error else "See the helper's log: `covey events`.")
    return Check(None, "The tunnel is down, and nobody has asked for it.", "Connect in the tray or by `covey up`.")


def port(patient: Patient) -> Check:
    if not patient.is_up:
        return Check(None, "WireGuard's port is not open while the tunnel is down.")
    used = patient.status["wireguardPort"]
    if patient.preferred_port in (0, used):
        return Check(True, f"WireGuard has UDP port {used}, the one it should have.")
    sentence = f"WireGuard has UDP port {used}, as {patient.preferred_port} was taken; rules of a firewall for that do not fit."
    return Check(False, sentence, "End the program that holds it, then disconnect and connect again.")


def mtu(patient: Patient) -> Check:
    peers = patient.status["peers"]["details"]
    known = sorted({peer["pathMtu"] for peer in peers if peer["pathMtu"] and peer["status"] == "Connected"})
    if not known:
        return Check(None, "How large packets may be is measured once a peer is connected.")
    if len(known) == 1:
        return Check(True, f"Paths to peers carry packets of {known[0]} bytes through the tunnel.")
    return Check(
        True, f"Paths to peers carry packets of {known[0]} to {known[-1]} bytes through the tunnel; each is used as it is."
    )


async def network(patient: Patient) -> Check:
    """Whether there is a way out at all. False: none, so nothing else can be told of networks and servers."""
    if sys.platform != "linux":
        return Check(None, "Routes are not looked at on this system.")
    from helper.netmon.linux import take_snapshot

    try:
        found = await take_snapshot(frozenset({patient.interface}))
    except OSError as error:
        return Check(None, f"Routes can't be looked at: {error}.")
    hosts = patient.server.hosts if patient.server is not None else ()
    if found.default_routes:
        interfaces = dict.fromkeys(route.interface for route in found.default_routes)
        return Check(True, f"This machine's way out leads over {', '.join(interfaces)}.")
    if any(source_for(ipaddress.ip_address(host)) for host in hosts if _is_literal(host)):
        return Check(True, "There is no default route; the server is reached without one.")
    if found.addresses:
        shown = ", ".join(sorted(f"{one.interface} {one.ip}" for one in found.addresses)[:4])
        step = "Ask the network for its router: reconnect the Wi-Fi or cable, or see `ip route`."
        return Check(False, f"This machine has an address ({shown}) but no default route, so it reaches no server.", step)
    return Check(False, "This machine has no network.", "Plug in a cable or join a Wi-Fi; Covey goes on by itself.")


async def names(patient: Patient) -> Check:
    """Whether the server's name leads somewhere, or else whether the resolver answers at all."""
    hosts = patient.server.hosts if patient.server is not None else ()
    names = [host for host in hosts if not _is_literal(host)]
    name = names[0] if names else SOME_NAME
    needed = bool(names)
    step = "Check this machine's DNS servers: `resolvectl status`, or /etc/resolv.conf."
    without = "" if needed or patient.server is None else " Covey needs none: it knows its server by address."
    unneeded: bool | None = False if needed or patient.server is None else None
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await look_up(name)
    except TimeoutError:
        return Check(unneeded, f"The resolver did not answer within {LOOKUP_TIMEOUT:g} s.{without}", step)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
            return Check(unneeded, f"No resolver answers this machine.{without}", step)
        if needed:
            return Check(False, f"The name {name} is not known.", "Is it spelt right? Ask whoever runs the server.")
        return Check(True, "The resolver answers.")
    except (OSError, ValueError) as error:
        return Check(unneeded, f"Names can't be looked up: {error}.{without}", step)
    addresses = ", ".join(map(str, found[:6]))
    return Check(True, f"The name {name} leads to {addresses}." if needed else "The resolver answers.")


async def rules() -> Ruleset | Check:
    """The rules of this machine's firewall, or why they are not known."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("nft", "-j", "list", "ruleset"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return Check(None, "The firewall's rules can't be read: there is no `nft` here.")
    try:
        async with asyncio.timeout(NFT_TIMEOUT):
            output, _ = await process.communicate()
        if process.returncode != 0:
            return Check(None, "The firewall's rules can't be read: `nft` is refused.")
        return Ruleset(json.loads(output))
    except (TimeoutError, ValueError, RecursionError):
        return Check(None, "The firewall's rules can't be read: `nft` gives no answer that we know.")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def firewall(patient: Patient, found: Ruleset | Check) -> Check:
    if isinstance(found, Check):
        return found
    if not patient.port:
        return Check(None, "WireGuard has no port yet that a firewall could close.")
    routes = patient.snapshot.default_routes if patient.snapshot else ()
    uplink = routes[0].interface if routes else ""
    answers, strangers = (found.ruling(Datagram(patient.port, uplink, state)) for state in ("established", "new"))
    allow = f"Let it in: `nft insert rule FAMILY TABLE CHAIN udp dport {patient.port} accept`, or `ufw allow {patient.port}/udp`."
    if answers.fate == "drop":
        return Check(False, f"This machine's firewall drops all UDP to port {patient.port} ({answers.place}).", allow)
    if strangers.fate == "drop":
        sentence = (
            f"This machine's firewall lets only answers in to UDP port {patient.port} ({strangers.place}); some paths need more."
        )
        return Check(False, sentence, allow)
    if "unknown" in (answers.fate, strangers.fate):
        return Check(None, f"Whether the firewall lets UDP in to port {patient.port} depends on rules that can't be judged here.")
    return Check(True, f"This machine's firewall lets UDP in to port {patient.port}.")


async def other_vpn(patient: Patient, found: Ruleset | Check) -> Check:
    if sys.platform != "linux":
        return Check(None, "Other VPNs are not looked for on this system.")
    from helper.netmon.others_linux import look

    overlay = patient.overlay
    try:
        others = await look(patient.interface, overlay or ipaddress.ip_network("100.64.0.0/10"), patient.snapshot)
    except OSError as error:
        return Check(None, f"Other VPNs can't be looked for: {error}.")
    if overlay is not None and isinstance(found, Ruleset) and (place := found.guard_of(overlay, patient.interface)):
        step = f"Change that program's settings, or insert before it: `iifname {patient.interface} accept`."
        return Check(False, f"Another program's firewall rule drops what Covey's machines send ({place}).", step)
    if overlay is not None and others.overlaps:
        shown = ", ".join(f"{one.interface} ({one.ip}/{one.prefix_length})" for one in others.overlaps[:3])
        step = "Ask who runs the Covey server for another range, or renumber that network."
        return Check(False, f"Addresses outside Covey lie in its own range {overlay}: {shown}.", step)
    if others.other_vpn:
        sentence = (
            f"This machine's way to the internet leads through another VPN ({others.other_vpn}); direct paths may not work."
        )
        return Check(False, sentence, "Leave that VPN, or let it exclude Covey's traffic (split tunnel).")
    return Check(True, "No other VPN is in the way.")


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
