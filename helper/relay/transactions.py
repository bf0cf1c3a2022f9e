"""Requests on their way: when each is sent again, and when it counts as unanswered. Pure."""

from dataclasses import dataclass

from protocol.addresses import Address, IPAddress

FIRST_RTO = 0.1  # seconds; ours. RFC 8489, section 6.2.1, has 0.5 s as its default and lets better knowledge shorten it
UNANSWERED = 3.0  # seconds from the first sending over UDP: 100, 200, 400, 800 ms apart, then this
UNANSWERED_RELIABLE = 8.0  # seconds over TCP and TLS, where TCP itself repeats


@dataclass(frozen=True, slots=True)
class Allocate:
    ipv6: bool = False  # ask for an IPv6 relayed address


@dataclass(frozen=True, slots=True)
class Refresh:
    release: bool = False  # lifetime 0


@dataclass(frozen=True, slots=True)
class CreatePermission:
    ips: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class ChannelBind:
    peer: Address
    channel: int


Request = Allocate | Refresh | CreatePermission | ChannelBind


@dataclass(slots=True)
class Transaction:
    request: Request
    data: bytes
    key: bytes | None  # what it was signed with
    attempt: int  # how often this request was already sent anew because of its credentials
    sent_at: float
    expires: float
    next_at: float
    rto: float = FIRST_RTO

    def round_trip(self, now: float) -> float | None:
        """Of an answer that came now; None where it is not known which of several requests was answered (RFC 6298, section 3)."""
        return now - self.sent_at if self.rto == FIRST_RTO else None


class Transactions:
    def __init__(self, *, reliable: bool) -> None:
        self._reliable = reliable
        self._pending: dict[bytes, Transaction] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def start(self, transaction_id: bytes, request: Request, data: bytes, key: bytes | None, attempt: int, now: float) -> None:
        """Note a request that is being sent now."""
        expires = now + (UNANSWERED_RELIABLE if self._reliable else UNANSWERED)
        next_at = expires if self._reliable else now + FIRST_RTO
        self._pending[transaction_id] = Transaction(request, data, key, attempt, now, expires, next_at)

    def find(self, transaction_id: bytes) -> Transaction | None:
        return self._pending.get(transaction_id)

    def end(self, transaction_id: bytes) -> None:
        self._pending.pop(transaction_id, None)

    def clear(self) -> None:
        self._pending.clear()

    def waits_for(self, kind: type[Request]) -> int:
        """How many requests of a kind are unanswered."""
        return sum(isinstance(transaction.request, kind) for transaction in self._pending.values())

    def due(self, now: float) -> tuple[list[bytes], list[Request]]:
        """What to send again now, and which requests went unanswered; those are forgotten."""
        again: list[bytes] = []
        unanswered: list[Request] = []
        for transaction_id, transaction in list(self._pending.items()):
            if now >= transaction.expires:
                del self._pending[transaction_id]
                unanswered.append(transaction.request)
            elif now >= transaction.next_at:
                again.append(transaction.data)
                transaction.rto *= 2
                transaction.next_at = min(now + transaction.rto, transaction.expires)
        return again, unanswered

    @property
    def deadline(self) -> float | None:
        """When `due` has something next."""
        return min((transaction.next_at for transaction in self._pending.values()), default=None)
