"""Has the router forward a port to WireGuard's, and keeps it so, from `up` to `down`."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from helper.ledger.ledger import Change, Ledger
from helper.ledger.undo import undo
from helper.netmon.snapshot import Snapshot
from helper.port_mapping.asking import Client
from helper.port_mapping.events import (
    Action,
    Ask,
    Event,
    Failed,
    GatewayChanged,
    Granted,
    Hint,
    Look,
    Offer,
    Probe,
    Seen,
    TimePassed,
)  # fmt: skip
from helper.port_mapping.gateway import Gateway, find_gateway
from helper.port_mapping.mapper import Mapper
from helper.port_mapping.operations import METHODS, TITLES, Grant, MappingRefused, Method
from helper.port_mapping.pcp import NONCE
from helper.port_mapping.record import KIND, MappingRecord
from helper.port_mapping.removal import PATIENCE, make_client
from helper.port_mapping.upnp_client import UpnpClient
from helper.recorder import Recorder
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.local_api import PortMappingStatus

FORGET_AFTER = 30 * 86400  # seconds until a mapping without end at a router that we never met again is given up

log = logging.getLogger(__name__)


class SetMapped(Protocol):
    def __call__(self, base: IPAddress, mapped: Address | None) -> None: ...


class PortMapping:
    """`set_mapped` is told what the router forwards to our port at one of our addresses; `on_change` that the status changed."""

    def __init__(
        self,
        port: int,
        ledger: Ledger,
        recorder: Recorder,
        set_mapped: SetMapped,
        on_change: Callable[[], None],
        *,
        enabled: bool,
    ) -> None:
        self._port, self._ledger, self._recorder, self._set_mapped = port, ledger, recorder, set_mapped
        self._on_change, self._enabled = on_change, enabled
        self._mapper = Mapper(port)
        self._nonce = secrets.token_bytes(NONCE)
        self._clients: dict[Method, Client] = {}
        self._operations: set[asyncio.Task[None]] = set()
        self._wanted: Gateway | None = None
        self._answers: deque[Event] = deque()  # as many as there are operations
        self._is_hinted = False
        self._news = asyncio.Event()
        self._said: PortMappingStatus | None = None

    # ---- what others say

    def network_changed(self, snapshot: Snapshot) -> None:
        self._wanted = find_gateway(snapshot) if self._enabled else None
        self._news.set()

    def look(self) -> None:
        """The outside looks different: look at the router now, not in a minute."""
        self._is_hinted = True
        self._news.set()

    def status(self) -> PortMappingStatus | None:
        """None while there is no router to ask."""
        gateway, mapped = self._mapper.gateway, self._mapper.mapped
        if gateway is None:
            return None
        method, external = (mapped[0], str(mapped[1])) if mapped else ("", "")
        return {"protocol": method, "external": external, "gateway": str(gateway.ip), "error": self._mapper.error}

    # ---- the work

    async def run(self) -> None:
        """Never ends but by being cancelled; what goes wrong here costs the mapping and nothing else."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                for event in self._events():
                    for action in self._mapper.handle(event, loop.time()):
                        self._act(action, group)
                self._tell()
                try:
                    async with asyncio.timeout_at(self._mapper.deadline):
                        await self._news.wait()
                except TimeoutError:
                    self._answers.append(TimePassed())
                self._news.clear()

    async def close(self) -> None:
        """Take back every mapping, also those at routers met before; those out of reach stay in the ledger until they end."""
        changes = [change for change in self._ledger.entries() if change.kind == KIND]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE + 1.0):
                await asyncio.gather(*(undo(self._ledger, [change]) for change in changes))

    def _events(self) -> list[Event]:
        """What happened, in order; what was on its way at a former router does not count any more."""
        found: list[Event] = []
        if self._wanted != self._mapper.gateway:
            for operation in self._operations:
                operation.cancel()
            self._answers.clear()
            found.append(self._begin(self._wanted))
        found += self._answers
        self._answers.clear()
        if self._is_hinted:
            self._is_hinted = False
            found.append(Hint())
        return found

    def _begin(self, gateway: Gateway | None) -> GatewayChanged:
        """Turn to a router, with what the ledger knows of mappings there."""
        self._clients = {}
        if gateway is None:
            return GatewayChanged(None)
        known = {record.method: record for _, record in self._records() if (record.gateway, record.port) == (gateway, self._port)}
        for method in METHODS:
            nonce = known[method].nonce if method in known else self._nonce
            self._clients[method] = make_client(MappingRecord(method, gateway, self._port, self._port, nonce, None, 0))
        best = next((known[method] for method in METHODS if method in known), None)
        return GatewayChanged(gateway, best.external_port, best.method) if best is not None else GatewayChanged(gateway)

    def _act(self, action: Action, group: asyncio.TaskGroup) -> None:
        if isinstance(action, Offer):
            self._offer(action.gateway, action.address)
            return
        task = group.create_task(self._operate(action, self._clients[action.method]), name=f"port mapping: {action.method}")
        self._operations.add(task)
        task.add_done_callback(self._operations.discard)

    async def _operate(self, action: Probe | Ask | Look, client: Client) -> None:
        """Ask the router, and hand in what came of it."""
        event: Event
        try:
            match action:
                case Probe(method):
                    event = Seen(method, await client.probe())
                case Look(method, external_port):
                    event = Seen(method, await client.check(external_port))
                case Ask(method):
                    event = Granted(method, await self._ask(action, client))
        except MappingRefused as error:
            event = Failed(action.method, error)
        except OSError as error:
            log.debug("%s: %s", action, error)
            event = Failed(action.method)
        except (ValueError, CoveyError) as error:  # it answers nonsense, or the ledger can't be written
            event = Failed(action.method, MappingRefused(str(error)))
        except Exception:
            log.exception("%s failed unexpectedly", action)
            event = Failed(action.method)
        self._answers.append(event)
        self._news.set()

    async def _ask(self, ask: Ask, client: Client) -> Grant:
        change, record = self._write_down(ask, client)
        try:
            grant = await client.map(ask.external_port, ask.lease)
        except MappingRefused:
            self._ledger.forget(change.id)
            raise
        ends = int(time.time() + min(grant.lease or FORGET_AFTER, FORGET_AFTER))
        if grant.external.port != record.external_port or record.ends < ends:
            amended = replace(record, external_port=grant.external.port or record.external_port, ends=max(ends, record.ends))
            self._ledger.amend(change.id, **amended.details())
        return grant

    def _write_down(self, ask: Ask, client: Client) -> tuple[Change, MappingRecord]:
        """Have the mapping in the ledger before it is asked for."""
        gateway = self._mapper.gateway
        assert gateway is not None
        known = self._records()
        for change, record in known:
            if (record.method, record.gateway, record.port) == (ask.method, gateway, self._port):
                if record.external_port == ask.external_port:
                    return change, record
                amended = replace(record, external_port=ask.external_port)
                return self._ledger.amend(change.id, **amended.details()), amended
        for change, record in known:
            if record.ends < time.time():
                self._ledger.forget(change.id)
        service = client.service if isinstance(client, UpnpClient) else None
        ends = int(time.time() + (ask.lease or FORGET_AFTER))
        record = MappingRecord(ask.method, gateway, self._port, ask.external_port, self._nonce, service, ends)
        return self._ledger.record(KIND, **record.details()), record

    def _records(self) -> list[tuple[Change, MappingRecord]]:
        found = []
        for change in self._ledger.entries():
            if change.kind == KIND:
                with contextlib.suppress(ValueError):
                    found.append((change, MappingRecord.read(change.details)))
        return found

    # ---- what others hear

    def _offer(self, gateway: Gateway, address: Address | None) -> None:
        mapped = self._mapper.mapped
        if address is not None and mapped is not None:
            log.info("the router at %s forwards %s to us (%s)", gateway.ip, address, TITLES[mapped[0]])
            sentence = f"The router at {gateway.ip} forwards {address} to this machine, by {TITLES[mapped[0]]}."
            self._recorder.note("mapping", sentence, external=str(address), method=mapped[0])
        elif address is None:
            log.info("the router at %s forwards no port to us any more", gateway.ip)
            self._recorder.note("mapping", f"The router at {gateway.ip} forwards no port to this machine any more.")
        self._set_mapped(gateway.base, address)

    def _tell(self) -> None:
        said = self.status()
        if said == self._said:
            return
        if said and said["error"] and (self._said is None or said["error"] != self._said["error"]):
            log.info("%s", said["error"])
            self._recorder.note("mapping", said["error"])
        self._said = said
        self._on_change()
