"""Puts right what other programs changed about our interface, our WireGuard and our firewall table; nothing of theirs is touched.

Events of the kernel and a look each few seconds show what differs from what should be. A program that keeps changing the same
thing back is answered seldom, and named as a warning: two programs that fight are worse than either's wish.

Reverse path filtering (rp_filter) is left as it is, also where it is strict: packets of peers come in by the interface that our
routes to them lead out of.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from helper.firewall.firewall import Firewall, FirewallRefused, open_firewall, table_name
from helper.interface.interface import Interface, open_interface
from helper.interface.state import AddAddress, RemoveRoute, SetMtu, SetRoute, SetUp, Step, differences, wanted_state
from helper.ledger.ledger import Change, Ledger
from helper.recorder import Recorder
from helper.warnings import Warnings
from helper.wireguard.device import Device
from helper.wireguard.drift import Drift, KeyChanged, PeerChanged, PortChanged
from protocol.addresses import IPInterface, IPNetwork
from protocol.errors import CoveyError

LOOK = 5.0  # seconds between two looks at WireGuard and the firewall
LOOK_AT_INTERFACE = 30.0  # and at the interface, whose changes the kernel tells
OFTEN, WITHIN, SELDOM = 6, 60.0, 10.0  # after so many repairs of a kind within so many seconds: one in SELDOM seconds
TABLE_AGAIN = 60.0  # seconds until a firewall table that was refused is tried again
CALM = 0.25  # seconds between two looks that events ask for
PASSES = 3  # looks at the interface in a row: its routes come after its addresses

log = logging.getLogger(__name__)


class Kind(Enum):
    """What was changed, as the sentences of warnings call it."""

    STATE = "state"
    MTU = "MTU"
    ADDRESS = "address"
    ROUTE = "route"
    FIREWALL = "firewall table"
    KEY = "WireGuard key"
    PORT = "WireGuard port"
    PEER = "WireGuard peers"

    @property
    def code(self) -> str:
        return f"undone-{self.value.lower().replace(' ', '-')}"


class Pace:
    """How often what kind is repaired. Pure."""

    def __init__(self) -> None:
        self._repairs: dict[Kind, deque[float]] = {kind: deque(maxlen=OFTEN) for kind in Kind}

    def allows(self, kind: Kind, now: float) -> bool:
        """Say whether a repair of this kind may be made now."""
        return not self.is_fight(kind, now) or now - self._repairs[kind][-1] >= SELDOM

    def repaired(self, kind: Kind, now: float) -> None:
        self._repairs[kind].append(now)

    def is_fight(self, kind: Kind, now: float) -> bool:
        """Say whether somebody keeps undoing what we do; over when WITHIN seconds brought fewer repairs."""
        repairs = self._repairs[kind]
        return len(repairs) == OFTEN and now - repairs[0] < WITHIN


def kind_of(difference: Step | Drift) -> Kind:
    match difference:
        case SetUp():
            return Kind.STATE
        case SetMtu():
            return Kind.MTU
        case AddAddress():
            return Kind.ADDRESS
        case SetRoute() | RemoveRoute():
            return Kind.ROUTE
        case KeyChanged():
            return Kind.KEY
        case PortChanged():
            return Kind.PORT
        case PeerChanged():
            return Kind.PEER


def sentence(difference: Step | Drift, interface: str) -> str:
    """What a person reads of a repair."""
    match difference:
        case SetUp():
            return f"Another program had set {interface} down; it is up again."
        case SetMtu(mtu):
            return f"Another program had changed the MTU of {interface}; it is {mtu} again."
        case AddAddress(address):
            return f"Another program had removed the address {address.ip} of {interface}; it is there again."
        case SetRoute(network):
            return f"Another program had removed or changed the route to {network}; it is there again."
        case RemoveRoute(network):
            return f"A route of Covey's to {network} that is not wanted any more was removed."
        case KeyChanged():
            return f"Another program had changed the WireGuard key of {interface}; it is Covey's again."
        case PortChanged():
            return f"Another program had changed the WireGuard port of {interface}; it is the former one again."
        case PeerChanged(key, is_gone):
            done = "removed" if is_gone else "changed"
            return f"Another program had {done} the WireGuard peer {key.short} of {interface}; it is as before again."


class Repairer:
    """Args:
    narrower: where packets must be smaller than the interface's MTU; read at each look, `wake` when it changed.
    """

    def __init__(
        self,
        device: Device,
        address: IPInterface,
        mtu: int,
        narrower: Callable[[], Mapping[IPNetwork, int]],
        ledger: Ledger,
        recorder: Recorder,
        warnings: Warnings,
    ) -> None:
        self._device, self._address, self._mtu, self._narrower = device, address, mtu, narrower
        self._ledger, self._recorder, self._warnings = ledger, recorder, warnings
        self._loop = asyncio.get_running_loop()
        self._pace = Pace()
        self._wake = asyncio.Event()
        self._made = wanted_state(address, mtu, {}).routes  # routes that were there, by the kernel or by us
        self._table: Change | None = None
        self._table_again = 0.0  # when it may be tried, on the event loop's clock

    def wake(self) -> None:
        """What should be has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep everything as it should be, until cancelled; our firewall table is gone then. Raises OSError without interface."""
        async with contextlib.AsyncExitStack() as stack:
            interface = await stack.enter_async_context(open_interface(self._device.name))
            firewall = open_firewall(self._device.name)
            stack.push_async_callback(self._remove_table, firewall)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(interface), name="interface events")
                group.create_task(self._keep_interface(interface), name="interface")
                group.create_task(self._keep_rest(firewall), name="WireGuard and firewall")

    # ---- the interface

    async def _listen(self, interface: Interface) -> None:
        while True:
            await interface.changed()
            self._wake.set()
            await asyncio.sleep(CALM)

    async def _keep_interface(self, interface: Interface) -> None:
        while True:
            self._wake.clear()
            try:
                is_done = await self._look_at_interface(interface)
            except Exception as error:  # netlink's errors are of many kinds, and the tunnel may well work
                log.warning("%s could not be put right: %s", self._device.name, error)
                is_done = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AT_INTERFACE if is_done else SELDOM):
                    await self._wake.wait()

    async def _look_at_interface(self, interface: Interface) -> bool:
        """Put right what differs; False if something has to wait."""
        for _ in range(PASSES):
            actual = await interface.look()
            if actual is None:
                return True  # whoever watches the device ends the session
            wanted = wanted_state(self._address, self._mtu, self._narrower())
            steps = differences(wanted, actual)
            if not steps:
                self._made = wanted.routes
                return True
            wishes = [step for step in steps if self._is_wish(step)]
            repairs = [step for step in steps if step not in wishes and self._pace.allows(kind_of(step), self._loop.time())]
            if not wishes and not repairs:
                return False
            await interface.apply([step for step in steps if step in wishes or step in repairs])
            self._told_all(repairs)
            self._made = wanted.routes
        return False

    def _is_wish(self, step: Step) -> bool:
        """Say whether the step follows from what we want to be otherwise, and repairs nothing."""
        match step:
            case SetRoute(network, mtu):
                return network not in self._made or self._made[network].mtu != mtu
            case RemoveRoute():
                return True
            case _:
                return False

    # ---- WireGuard and the firewall

    async def _keep_rest(self, firewall: Firewall) -> None:
        while True:
            await self._keep_table(firewall)
            await asyncio.sleep(LOOK)
            await self._keep_wireguard()
            self._end_fights()

    async def _keep_wireguard(self) -> None:
        try:
            found = await self._device.drift()
        except OSError as error:
            log.debug("WireGuard did not answer: %s", error)
            return
        corrected = []
        for drift in [one for one in found if self._pace.allows(kind_of(one), self._loop.time())]:
            try:
                await self._device.correct(drift)
            except OSError as error:
                log.warning("the %s could not be put right: %s", kind_of(drift).value, error)
            corrected.append(drift)
        self._told_all(corrected)

    async def _keep_table(self, firewall: Firewall) -> None:
        now = self._loop.time()
        if now < self._table_again or not self._needs_table(firewall, now):
            return
        is_first = self._table is None
        try:
            if self._table is None:
                self._table = self._ledger.record("nft-table", interface=self._device.name, table=table_name(self._device.name))
            await firewall.put()
        except (CoveyError, OSError) as error:
            self._table_again = now + TABLE_AGAIN
            self._refused(firewall, error)
            if self._table is not None and is_first and not firewall.is_there():
                self._ledger.forget(self._table.id)
                self._table = None
            return
        self._warnings.clear(FirewallRefused.code)
        if not is_first:
            self._note(Kind.FIREWALL, "Another program had removed or changed Covey's firewall table; it is there again.")
            self._count({Kind.FIREWALL})

    def _needs_table(self, firewall: Firewall, now: float) -> bool:
        if self._table is None:
            return True
        try:
            return not firewall.is_intact() and self._pace.allows(Kind.FIREWALL, now)
        except OSError as error:
            log.debug("the firewall could not be looked at: %s", error)
            return False

    def _refused(self, firewall: Firewall, error: Exception) -> None:
        """Only whoever forwards packets misses the table."""
        log.info("no firewall table: %s", error)
        if firewall.is_needed():
            said = f"Connections that this machine forwards into the tunnel may stall on narrow lines: {error}."
            self._warnings.raise_(FirewallRefused.code, said, FirewallRefused.hint)
        else:
            self._warnings.clear(FirewallRefused.code)

    async def _remove_table(self, firewall: Firewall) -> None:
        if self._table is None:
            return
        try:
            await firewall.remove()
            self._ledger.forget(self._table.id)
            self._table = None
        except (CoveyError, OSError) as error:
            log.warning("our firewall table stays for now: %s", error)

    # ---- telling

    def _told_all(self, repaired: Sequence[Step | Drift]) -> None:
        for one in repaired:
            self._note(kind_of(one), sentence(one, self._device.name))
        self._count({kind_of(one) for one in repaired})

    def _note(self, kind: Kind, said: str) -> None:
        log.info("%s", said)
        self._recorder.note("repair", said, what=kind.value)

    def _count(self, kinds: set[Kind]) -> None:
        """Several at once of one kind are one repair."""
        now, name = self._loop.time(), self._device.name
        for kind in kinds:
            self._pace.repaired(kind, now)
            if self._pace.is_fight(kind, now):
                self._warnings.raise_(
                    kind.code,
                    f"Another program keeps changing the {kind.value} of {name}; Covey puts it back every {SELDOM:.0f} seconds.",
                    f"Tell NetworkManager, systemd-networkd, the firewall or another VPN on this machine to leave {name} alone.",
                )

    def _end_fights(self) -> None:
        for kind in Kind:
            if not self._pace.is_fight(kind, self._loop.time()):
                self._warnings.clear(kind.code)
