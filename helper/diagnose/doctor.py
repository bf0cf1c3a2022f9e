"""Examines this machine's connections: every check at the same time, each with a bound, all of it within 8 s."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypedDict

from helper.diagnose import machine_checks, server_checks
from helper.diagnose.check import Check, CheckBody
from helper.diagnose.nat import NatKind
from helper.diagnose.patient import Patient
from protocol.addresses import Address
from protocol.local_api import Verdict
from protocol.version import VERSION

log = logging.getLogger(__name__)

LIMIT = 6.5  # seconds for each check


class NatBody(TypedDict):
    mapping: str
    filtering: str
    address: str  # how the server sees us; empty: not known
    sentence: str


class PeerBody(TypedDict):
    fqdn: str
    ip: str
    verdict: Verdict


class DoctorDocument(TypedDict):
    checks: list[CheckBody]
    nat: NatBody
    peers: list[PeerBody]


async def examine(patient: Patient) -> DoctorDocument:
    """Never raises: what can't be found out says so."""
    fingerprint = patient.server.fingerprint if patient.server is not None else None
    async with asyncio.TaskGroup() as group:
        own = group.create_task(_bounded("management", server_checks.management(patient.server)))
        signal = group.create_task(_bounded("signal", server_checks.signal(patient)))
        clock = group.create_task(_bounded("clock", server_checks.clock(patient.server)))
        names = group.create_task(_bounded("dns", machine_checks.names(patient)))
        turn = group.create_task(_bounded("turn", server_checks.turn(patient.turn, fingerprint)))
        nat = group.create_task(_nat(patient))
        rules = group.create_task(_rules(patient))
    kind, trips = nat.result()
    firewall, other_vpn = rules.result()
    udp = server_checks.udp(trips)
    reached = own.result().ok is True
    checks = {
        "helper": Check(True, f"The helper runs, version {VERSION}."),
        "signed-in": machine_checks.signed_in(patient),
        "interface": machine_checks.interface(patient),
        "port": machine_checks.port(patient),
        "udp": udp,
        "stun": server_checks.stun_servers(trips),
        "turn": turn.result(),
        "management": own.result(),
        "signal": signal.result(),
        "clock": clock.result(),
        "dns": names.result(),
        "mtu": machine_checks.mtu(patient),
        "other-vpn": other_vpn,
        "firewall": firewall,
        "captive-portal": await _bounded("captive-portal", server_checks.captive_portal(patient.server, reached)),
    }
    return {
        "checks": [check.body(name) for name, check in checks.items()],
        "nat": nat_body(kind),
        "peers": [
            {"fqdn": peer["fqdn"], "ip": peer["ip"], "verdict": peer["verdict"]} for peer in patient.status["peers"]["details"]
        ],
    }


async def _bounded(name: str, work: Awaitable[Check]) -> Check:
    try:
        async with asyncio.timeout(LIMIT):
            return await work
    except TimeoutError:
        return Check(False, f"The check took longer than {LIMIT:g} s.", "Run it again; is this machine very busy?")
    except Exception:
        log.exception("the check %s failed", name)
        return Check(None, "The check itself failed; the helper's log says how.")


async def _nat(patient: Patient) -> tuple[NatKind, dict[Address, float | None]]:
    own = [address.ip for address in patient.snapshot.addresses] if patient.snapshot else []
    try:
        async with asyncio.timeout(LIMIT):
            return await server_checks.nat_of(await server_checks.stun_addresses(patient.stun), own)
    except TimeoutError:
        return NatKind(), {}


async def _rules(patient: Patient) -> tuple[Check, Check]:
    found = await machine_checks.rules()
    return machine_checks.firewall(patient, found), await _bounded("other-vpn", machine_checks.other_vpn(patient, found))


def nat_body(kind: NatKind) -> NatBody:
    """The NAT in the words of RFC 4787, and in a sentence."""
    address = str(kind.address) if kind.address else ""
    return {"mapping": kind.mapping, "filtering": kind.filtering, "address": address, "sentence": _in_words(kind)}


def _in_words(kind: NatKind) -> str:
    match kind.mapping:
        case "none":
            return "There is no NAT between this machine and the server."
        case "endpoint-independent":
            return "The router keeps one outside port for all destinations: direct paths to most networks are possible."
        case "address-dependent" | "address-and-port-dependent":
            return "The router takes another outside port for each destination (symmetric): direct paths are harder to find."
    if kind.is_blocked:
        return "No UDP comes back, so the router's kind can't be told."
    return "What kind of router this is can't be told: no server here answers the questions that takes."
