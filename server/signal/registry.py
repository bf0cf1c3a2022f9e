"""Who is registered with signal, and what waits for each. Pure.

A peer has one registration, its newest. What is sent to it waits in its mailbox until its stream takes it; a full mailbox
loses its oldest message, for in signalling the newest counts and senders repeat what gets no answer.
"""

import enum
from collections import deque

from protocol.generated.signalexchange_pb2 import EncryptedMessage

MAX_WAITING = 256  # messages a mailbox
MAX_WAITING_BYTES = 512 * 1024  # a mailbox
MAX_REPLACEMENTS, REPLACEMENTS_WINDOW = 20, 10.0  # of one peer's registration; seconds: a Wi-Fi that flaps replaces it, too
MAX_ALL_WAITING_BYTES = 128 << 20  # all mailboxes together; beyond, messages are lost at once


class Ended(enum.Enum):
    """Why a registration is over."""

    REPLACED = "a newer stream of this peer took over"
    CONTESTED = "streams of this peer replace each other too often; an older one stays for now"
    STOPPING = "the server is stopping"
    TOO_SLOW = "this peer did not read its messages in time"
    GONE = "this peer went away"


class Mailbox:
    """One registration of one peer. Messages count with all their bytes, fields that we do not know included."""

    __slots__ = ("_waiting", "bytes", "dropped", "ended", "peer", "replacements")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.ended: Ended | None = None
        self.dropped = 0
        self.bytes = 0
        self.replacements: list[float] = []  # when this peer's registrations were replaced of late
        self._waiting: deque[EncryptedMessage] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: EncryptedMessage) -> None:
        self._waiting.append(message)
        self.bytes += message.ByteSize()
        while len(self._waiting) > MAX_WAITING or (self.bytes > MAX_WAITING_BYTES and len(self._waiting) > 1):
            self.take()
            self.dropped += 1

    def take(self) -> EncryptedMessage | None:
        """The oldest message, or None."""
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        self.bytes -= message.ByteSize()
        return message


class Registry:
    """Peers by the base64 text of their public keys."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, Mailbox] = {}
        self._bytes = 0  # of all mailboxes whose streams live, replaced ones too

    def __len__(self) -> int:
        return len(self._mailboxes)

    def register(self, peer: str, now: float) -> tuple[Mailbox | None, Mailbox | None]:
        """Give the peer a new mailbox. The second is the one that it had before, if any: it has ended by now.

        Two that hold the same key would replace each other for ever; so after a few times the older one stays for a while,
        as long as it reads, and the new one is None. `now` is the event loop's clock, in seconds.
        """
        former = self._mailboxes.get(peer)
        mailbox = Mailbox(peer)
        if former is not None:
            recent = [at for at in former.replacements if now - at < REPLACEMENTS_WINDOW]
            if len(recent) >= MAX_REPLACEMENTS and not len(former):
                return None, None
            former.ended = Ended.REPLACED
            mailbox.replacements = [*recent[1 - MAX_REPLACEMENTS :], now]
        self._mailboxes[peer] = mailbox
        return mailbox, former

    def unregister(self, mailbox: Mailbox) -> None:
        """Forget a mailbox; a newer one of the same peer stays."""
        if self._mailboxes.get(mailbox.peer) is mailbox:
            del self._mailboxes[mailbox.peer]
        while self.take(mailbox) is not None:
            pass

    def route(self, message: EncryptedMessage) -> Mailbox | None:
        """Put the message into its receiver's mailbox and name that; None if it is lost: nobody is there, or no room."""
        mailbox = self._mailboxes.get(message.remoteKey)
        if mailbox is None or self._bytes + message.ByteSize() > MAX_ALL_WAITING_BYTES:
            return None
        before = mailbox.bytes
        mailbox.put(message)
        self._bytes += mailbox.bytes - before
        return mailbox

    def take(self, mailbox: Mailbox) -> EncryptedMessage | None:
        """The oldest message that waits there, or None."""
        message = mailbox.take()
        if message is not None:
            self._bytes -= message.ByteSize()
        return message

    def end_all(self, why: Ended) -> list[Mailbox]:
        """End every registration; new ones may come."""
        mailboxes = list(self._mailboxes.values())
        for mailbox in mailboxes:
            mailbox.ended = why
        self._mailboxes.clear()
        return mailboxes
