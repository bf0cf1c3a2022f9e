"""Examines this machine's connections: every check at the same time, each with a bound, all of it within 8 s."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable
from typing import TypedDict

from helper.diagnose import machine_checks, server_checks
from helper.diagnose.certificate import certificate_check
from helper.diagnose.check import Check, CheckBody
from helper.diagnose.clock import clock_ahead, clock_check
from helper.diagnose.nat import NatKind
from helper.diagnose.patient import Patient
from helper.diagnose.portal import ask_portal, portal_check
from protocol.addresses import Address
from protocol.join_link import ServerLocation
from protocol.local_api import Verdict
from protocol.version import VERSION

log = logging.getLogger(__name__)

LIMIT = 6.5  # seconds for each check


class NatBody(TypedDict):
    mapping: str
    filtering: str
    address: str  # how the server sees us; empty: not known
    sentence: str


class ClockBody(TypedDict):
    aheadSeconds: float | None  # of the server's; None: not known


class SummaryBody(TypedDict):
    """`ok`: None if no check failed and something is missing all the same, such as the tunnel."""

    ok: bool | None
    sentence: str


class PeerBody(TypedDict):
    fqdn: str
    ip: str
    verdict: Verdict


class DoctorDocument(TypedDict):
    summary: SummaryBody
    checks: list[CheckBody]
    nat: NatBody
    clock: ClockBody
    peers: list[PeerBody]


async def examine(patient: Patient) -> DoctorDocument:
    """Never raises: what can't be found out says so."""
    server = patient.server
    fingerprint = server.fingerprint if server is not None else None
    async with asyncio.TaskGroup() as group:
        network = group.create_task(_bounded("network", machine_checks.network(patient)))
        management = group.create_task(_bounded("management", server_checks.management(server)))
        signal = group.create_task(_bounded("signal", server_checks.signal(patient)))
        certificate = group.create_task(_bounded("certificate", certificate_check(server, time.time())))
        ahead = group.create_task(_ahead(server))
        names = group.create_task(_bounded("dns", machine_checks.names(patient)))
        turn = group.create_task(_bounded("turn", server_checks.turn(patient.turn, fingerprint)))
        nat = group.create_task(_nat(patient))
        rules = group.create_task(_rules(patient))
    kind, trips = nat.result()
    firewall, other_vpn = rules.result()
    answered = any(task.result().answered for task in (management, signal, turn))
    has_network = network.result().ok is not False
    checks = {
        "helper": Check(True, f"The helper runs, version {VERSION}."),
        "signed-in": machine_checks.signed_in(patient),
        "interface": machine_checks.interface(patient),
        "port": machine_checks.port(patient),
        "network": network.result(),
        "udp": server_checks.udp(trips, answered),
        "stun": server_checks.stun_servers(trips, answered),
        "turn": turn.result(),
        "management": management.result(),
        "signal": signal.result(),
        "certificate": certificate.result(),
        "clock": server_checks.NOT_JOINED if server is None else clock_check(ahead.result()),
        "dns": names.result(),
        "mtu": machine_checks.mtu(patient),
        "other-vpn": other_vpn,
        "firewall": firewall,
        "captive-portal": await _bounded("captive-portal", _portal(server, management.result().ok is True)),
    }
    return {
        "summary": summary_of(checks.values(), patient),
        "checks": [check.body(name) for name, check in checks.items()],
        "nat": nat_body(kind, has_network),
        "clock": {"aheadSeconds": None if ahead.result() is None else round(ahead.result() or 0.0, 1)},
        "peers": [
            {"fqdn": peer["fqdn"], "ip": peer["ip"], "verdict": peer["verdict"]} for peer in patient.status["peers"]["details"]
        ],
    }


def summary_of(checks: Iterable[Check], patient: Patient) -> SummaryBody:
    """All of it in a sentence. "All is well" is said only of a tunnel that is up and reaches every machine that is called."""
    wrong = sum(check.ok is False for check in checks)
    away = sum(peer["status"] == "Connecting" for peer in patient.status["peers"]["details"])
    tunnel = "" if patient.is_up else " The tunnel is down."
    if wrong:
        return {"ok": False, "sentence": f"{'1 check' if wrong == 1 else f'{wrong} checks'} failed.{tunnel}"}
    if not patient.is_up:
        step = " It is being set up." if patient.wants_up else " Connect in the tray or by `covey up`."
        return {"ok": None, "sentence": f"No check failed, but the tunnel is down.{step}"}
    if away:
        machines = "1 machine is" if away == 1 else f"{away} machines are"
        return {"ok": None, "sentence": f"No check failed, but {machines} not connected."}
    return {"ok": True, "sentence": "All is well."}


async def _ahead(server: ServerLocation | None) -> float | None:
    return None if server is None else await clock_ahead(server)


async def _portal(server: ServerLocation | None, reached: bool) -> Check:
    if reached:
        return Check(True, "No login page of a network is in the way.")
    if server is None:
        return server_checks.NOT_JOINED
    return portal_check(await ask_portal(server), server)


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


def nat_body(kind: NatKind, has_network: bool) -> NatBody:
    """The NAT in the words of RFC 4787, and in a sentence."""
    address = str(kind.address) if kind.address else ""
    sentence = _in_words(kind) if has_network else "There is no network, so there is no router to judge."
    return {"mapping": kind.mapping, "filtering": kind.filtering, "address": address, "sentence": sentence}


def _in_words(kind: NatKind) -> str:
    match kind.mapping:
        case "none":
            return "There is no NAT between this machine and the server."
        case "endpoint-independent":
            return "The router keeps one outside port for all destinations: direct paths to most networks are possible."
        case "address-dependent" | "address-and-port-dependent":
            return "The router takes another outside port for each destination (symmetric): direct paths are harder to find."
    if kind.is_blocked:
        return "No UDP comes back from any server, so the router's kind can't be told."
    return "What kind of router this is can't be told: no server here answers the questions that takes."
