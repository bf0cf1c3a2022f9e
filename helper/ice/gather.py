"""Server-reflexive addresses of this machine, learnt from STUN servers and kept alive. Pure.

All peers share WireGuard's port, so one gathering serves them all. The first server that answered for a base is asked again
every REFRESH seconds: that keeps the NAT's mapping open and shows when the NAT gave us another address. The others are asked
now and then, so that it is known whether they would serve.
"""

from dataclasses import dataclass

from aioice import stun

from helper.ice import binding
from helper.ice.agent import SendStun
from helper.ice.candidates import Base
from helper.ice.stun_health import SILENT, StunHealth
from protocol.addresses import Address

RETRIES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # seconds between questions to a server that has not answered
GIVE_UP_FOR = 30.0  # seconds until a silent server is asked again
REFRESH = 20.0  # seconds; NATs keep UDP mappings for 30 s or more (RFC 4787, REQ-5 asks for 2 minutes)
ASK_OTHERS = 300.0  # seconds between questions to a server that answers and keeps no mapping; ours
LOST_AFTER = 1  # refreshes in a row without an answer, each asked seven times: ask all servers again


@dataclass(slots=True)
class _Question:
    base: Base
    server: Address
    tries: int = 0
    next_at: float = 0.0
    answered: bool = False
    keeps: bool = False  # this base's mapping alive
    silent_rounds: int = 0
    asked_at: float = 0.0


class Gatherer:
    """Asks every STUN server from every base of its family.

    Attributes:
        mapped: what each base looks like from outside.
        health: of each server.
    """

    def __init__(self) -> None:
        self.mapped: dict[Base, Address] = {}
        self.health = StunHealth()
        self._questions: dict[tuple[Base, Address], _Question] = {}
        self._asked: dict[bytes, _Question] = {}

    def configure(self, bases: set[Base], servers: tuple[Address, ...], now: float, *, afresh: bool = False) -> None:
        """Say whom to ask from where. `afresh`: the network changed, so what was learnt before is void."""
        wanted = {(base, server) for base in bases for server in servers if base.ip.version == server.ip.version}
        if afresh:
            self._questions.clear()
            self._asked.clear()
            self.mapped.clear()
        self._questions = {key: question for key, question in self._questions.items() if key in wanted}
        for base, server in wanted - self._questions.keys():
            self._questions[base, server] = _Question(base, server, next_at=now)
        self.mapped = {base: address for base, address in self.mapped.items() if base in bases}
        self.health.configure(servers, {server for _, server in wanted}, now)

    def hurry(self, now: float) -> None:
        """Something makes success likely: whoever is silent is asked at once, as if anew."""
        for question in self._questions.values():
            if not question.answered:
                question.tries, question.next_at = 0, min(question.next_at, now)

    def prove(self, now: float) -> None:
        """Whoever answered last time is asked at once whether it still does."""
        for question in self._questions.values():
            if question.answered:
                question.next_at = min(question.next_at, now)

    @property
    def deadline(self) -> float:
        return min((question.next_at for question in self._questions.values()), default=float("inf"))

    @property
    def servers_silent(self) -> bool:
        """No STUN server has answered, though each was asked several times: UDP may be blocked."""
        return bool(self._questions) and all(q.silent_rounds > 0 and not q.answered for q in self._questions.values())

    def advance(self, now: float) -> list[SendStun]:
        """Ask what is due."""
        actions: list[SendStun] = []
        for question in self._questions.values():
            if now < question.next_at:
                continue
            if question.tries >= len(RETRIES):
                question.tries, question.answered, question.keeps = 0, False, False
                question.silent_rounds += 1
                question.next_at = now + GIVE_UP_FOR
                self._asked = {key: value for key, value in self._asked.items() if value is not question}
                if not any(other.answered and other.server == question.server for other in self._questions.values()):
                    self.health.fails(question.server, SILENT, now)
                if question.silent_rounds == LOST_AFTER:
                    self._wake_others(question, now)
                continue
            transaction, data = binding.plain_request()
            self._asked[transaction] = question
            question.next_at = now + RETRIES[question.tries]
            question.tries += 1
            question.asked_at = now
            actions.append(SendStun(data, question.base, question.server, transaction))
        return actions

    def receive(self, message: stun.Message, source: Address, base: Base, now: float) -> bool:
        """Take in an answer; True if it changes what a base looks like from outside."""
        question = self._asked.pop(message.transaction_id, None)
        if question is None or (question.base, question.server) != (base, source) or message.message_class != stun.Class.RESPONSE:
            return False
        mapped = binding.mapped_address(message)
        if mapped is None:
            return False
        self._asked = {key: value for key, value in self._asked.items() if value is not question}
        self.health.answers(source, now - question.asked_at, now)
        keeper = self._keeper(base)
        question.answered, question.tries, question.silent_rounds = True, 0, 0
        question.keeps = keeper in (None, question)
        question.next_at = now + (REFRESH if question.keeps else ASK_OTHERS)
        if not question.keeps:  # one mapping a base is enough to tell; the first answer counts
            return False
        before, self.mapped[base] = self.mapped.get(base), mapped
        return before != mapped

    def _keeper(self, base: Base) -> _Question | None:
        """The question that keeps this base's mapping alive: the first that was answered."""
        for question in self._questions.values():
            if question.base == base and question.answered and question.keeps:
                return question
        return None

    def _wake_others(self, lost: _Question, now: float) -> None:
        for question in self._questions.values():
            if question.base == lost.base and question is not lost:
                question.next_at = min(question.next_at, now)
