"""One endurance run: does the faults of a plan, watches every second, and writes down what must never be."""

import asyncio
import contextlib
import http.client
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.lab.node import LabError
from tests.lab.programs import Status
from tests.soak.field import Field
from tests.soak.judge import Answered, Began, Carried, Ended, Judge, Tick, Told, Violation
from tests.soak.leaks import leaks
from tests.soak.plan import CALM, Fault, Kind
from tests.soak.pulse import FairClock
from tests.soak.sight import Echoes, Logs, Processes, ServersCable

LOOK_EVERY, SAMPLE_EVERY, PROGRESS_EVERY = 1.0, 5.0, 60.0  # seconds
SETTLE = 90.0  # fair seconds after the last fault in which every tunnel is back on its best path: direct is tried once a minute
STILL_ANSWERS = 3.0  # seconds since the last answer to one ping a second
DIRECT_SITES = {"home", "office"}  # between these a direct path exists
SHOWN = ("status", "connectionType", "pathSince", "reason", "lastWireguardHandshake", "iceCandidateEndpoint")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation with what stood around it. `at` is in seconds since the beginning."""

    at: float
    violation: Violation
    in_force: list[str]
    before: list[str]
    statuses: dict[str, Any]


class Run:
    """Args: `say` prints a line for the person who watches."""

    def __init__(self, field: Field, clock: FairClock, say: Callable[[str], None]) -> None:
        self.field, self._clock, self._say = field, clock, say
        self.judge = Judge(field.members, clock.now())
        self.findings: list[Finding] = []
        self.done: list[Fault] = []
        self._events: deque[str] = deque(maxlen=8)
        self._began = time.monotonic()
        self._threads = ThreadPoolExecutor(4 * len(field.members) + 8)
        self._names = sorted(field.members)
        self.processes = Processes(field)
        self._stopped = set[str]()  # helpers that a fault ended or froze
        self._statuses: dict[str, Status] = {}

    async def carry_out(self, plan: list[Fault]) -> None:
        """Meet every fault of the plan, then see everything recover."""
        self._began = time.monotonic()
        watchers: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as tasks:
            watchers += [tasks.create_task(self._listen(name)) for name in self._names]
            watchers += [
                tasks.create_task(self._look()),
                tasks.create_task(self._sample()),
                tasks.create_task(self._progress(len(plan))),
            ]
            async with asyncio.TaskGroup() as faults:
                for fault in plan:
                    await asyncio.sleep(max(0.0, fault.at - self._elapsed()))
                    faults.create_task(self._meet(fault))
            await self._settle()
            for watcher in watchers:
                watcher.cancel()
        for name, sentence in leaks(self.processes.lives.values()):
            self._found([Violation("leak", name, sentence)])
        self._threads.shutdown()

    # ---- faults

    async def _meet(self, fault: Fault) -> None:
        stops = fault.kind in (Kind.KILL, Kind.FREEZE)
        pairs = self.field.pairs(fault, self.judge.relayed_lately(self._clock.now()))
        self._event(f"{fault} begins")
        self._handle(Began(fault, pairs))
        if stops:
            self._stopped.add(fault.target)
        try:
            await self._thread(self.field.begin, fault)
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
                await self._thread(self.field.end, fault)
                self._event(f"{fault} ends")
        except LabError as error:
            self._found([Violation("fault", str(fault), f"could not be done: {error}")])
        if stops:
            self._stopped.discard(fault.target)
        self._handle(Ended(fault))
        self.done.append(fault)

    async def _settle(self) -> None:
        """Wait for every tunnel to be on its best path; what is not is a finding."""
        until, wrong = self._clock.now() + SETTLE, self._unsettled()
        began = self._clock.now()
        while self._clock.now() < until and (wrong or self._clock.now() - began < CALM / 2):
            await asyncio.sleep(LOOK_EVERY)
            wrong = self._unsettled()
        self._found([Violation("stuck", f"{one}->{other}", sentence) for (one, other), sentence in wrong.items()])

    def _unsettled(self) -> dict[tuple[str, str], str]:
        wrong, now, late = {}, self._clock.now(), f", {SETTLE:.0f} s after the last fault"
        for (one, other), view in self.judge.views.items():
            here, there = self.field.places[one], self.field.places[other]
            may_be_direct = here == there or {here, there} <= DIRECT_SITES
            silent = now - view.answered_at
            if view.state != "Connected" or silent > STILL_ANSWERS:
                wrong[one, other] = f"{view.state or 'nothing'} and last answered {silent:.0f} s ago{late}"
            elif may_be_direct and view.path != "P2P":
                wrong[one, other] = f"still {view.path} between {here} and {there}{late}"
        return wrong

    # ---- watching

    async def _listen(self, name: str) -> None:
        member = self.field.members[name]
        while True:
            asked, began = self._clock.now(), time.monotonic()
            was_stopped = name in self._stopped
            with contextlib.suppress(OSError, LabError, http.client.HTTPException, ValueError):
                status = await self._thread(member.status)
                took = 0.0 if was_stopped or name in self._stopped else min(self._clock.now() - asked, time.monotonic() - began)
                self._statuses[name] = status
                self._handle(Told(name, _views(status), took))
            await asyncio.sleep(max(0.0, LOOK_EVERY - (time.monotonic() - began)))

    async def _look(self) -> None:
        echoes = await self._thread(lambda: Echoes(self.field))
        cable = await self._thread(lambda: ServersCable(self.field.server.node, self._names))
        logs = Logs(self.field.lab.logs)
        while True:
            for one, other in echoes.fresh():
                self._handle(Answered(one, other))
            for pair, packets in await self._thread(lambda: list(cable.fresh())):
                self._handle(Carried(pair, packets))
            for program, words in await self._thread(lambda: list(logs.fresh())):
                self._found([Violation("traceback", program, words)])
            self._look_for_ends()
            self._handle(Tick())
            await asyncio.sleep(LOOK_EVERY)

    def _look_for_ends(self) -> None:
        for name, member in self.field.members.items():
            if name not in self._stopped and member.process is not None and (code := member.process.poll()) is not None:
                self._stopped.add(name)
                self._found([Violation("ended", name, f"covey-helper ended by itself with {code}; started again")])
                member.launch()
                self._stopped.discard(name)

    async def _sample(self) -> None:
        while True:
            self.processes.sample(self._elapsed())
            await asyncio.sleep(SAMPLE_EVERY)

    async def _progress(self, faults: int) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY)
            views = self.judge.views.values()
            up = sum(view.state == "Connected" for view in views)
            relayed = sum(view.path == "Relayed" for view in views)
            self._say(
                f"{self._elapsed() / 60:4.1f} min: {len(self.done)} of {faults} faults, {len(self.findings)} violations; "
                f"{up} of {len(views)} views connected, {relayed} relayed; "
                f"a second of ours takes {self._clock.slowness:.2f} s"
            )

    # ---- findings

    def _handle(self, event: Began | Ended | Answered | Told | Carried | Tick) -> None:
        self._found(self.judge.handle(event, self._clock.now()))

    def _found(self, violations: list[Violation]) -> None:
        for violation in violations:
            in_force = [str(began.fault) for began in self.judge.in_force.values()]
            names = [name for name in self._names if name in violation.where.split("->")]
            statuses = {name: _brief(self._statuses.get(name), names) for name in names}
            finding = Finding(round(self._elapsed(), 1), violation, in_force, list(self._events), statuses)
            self.findings.append(finding)
            when = f"{finding.at:.1f} s ({time.strftime('%H:%M:%S')})"
            self._say(f"VIOLATION at {when}: {violation.kind} {violation.where}: {violation.sentence}")
            self._say(f"    in force: {', '.join(in_force) or 'nothing'}; before: {'; '.join(self._events) or 'nothing'}")
            for name, status in statuses.items():
                self._say(f"    {name} says {json.dumps(status)}")

    def _event(self, words: str) -> None:
        self._events.append(f"{self._elapsed():.1f} s {words}")

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    async def _thread(self, work: Callable[..., T], *words: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *words)


def _views(status: Status) -> dict[str, tuple[str, str, str]]:
    details = status["peers"]["details"]
    return {peer["fqdn"].split(".")[0]: (peer["status"], peer["connectionType"], peer["pathSince"]) for peer in details}


def _brief(status: Status | None, names: list[str]) -> dict[str, Any]:
    """What a reader of a violation wants of a status: the streams, and the peers in question."""
    if status is None:
        return {}
    brief: dict[str, Any] = {what: status[what]["connected"] for what in ("management", "signal")}
    brief |= {"daemonStatus": status["daemonStatus"], "relays": [relay["available"] for relay in status["relays"]["details"]]}
    for peer in status["peers"]["details"]:
        if (name := peer["fqdn"].split(".")[0]) in names:
            brief[name] = {key: peer[key] for key in SHOWN}
    return brief
