"""Shares the one UDP port (and the one relay) among all ICE sessions: who is a STUN message for?

Answers go to whoever sent the request with that transaction id, requests to the session whose ufrag comes first in USERNAME.
"""

import asyncio
import logging
from collections.abc import Callable

from aioice import stun

from helper.ice import binding
from helper.ice.candidates import Base
from protocol.addresses import Address, IPAddress

log = logging.getLogger(__name__)

Handler = Callable[[stun.Message, Address, Base], None]

TRANSACTION_LIFETIME = 8.0  # seconds
PRUNE_ABOVE = 512  # transactions


class Mux:
    """Demultiplexes STUN. `dropped` counts datagrams that were malformed or for nobody."""

    def __init__(self) -> None:
        self.dropped = 0
        self._by_ufrag: dict[str, Handler] = {}
        self._by_transaction: dict[bytes, tuple[Handler, float]] = {}
        self._prune_at = PRUNE_ABOVE

    def register(self, ufrag: str, handler: Handler) -> None:
        self._by_ufrag[ufrag] = handler

    def unregister(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    def expect(self, transaction: bytes, handler: Handler) -> None:
        """The answer to this request goes to the handler."""
        now = asyncio.get_running_loop().time()
        if len(self._by_transaction) >= self._prune_at:
            kept = {key: value for key, value in self._by_transaction.items() if now - value[1] < TRANSACTION_LIFETIME}
            self._by_transaction = kept
            self._prune_at = max(PRUNE_ABOVE, 2 * len(kept))
        self._by_transaction[transaction] = handler, now

    def on_tap(self, data: bytes, source: Address, local: IPAddress) -> None:
        """A datagram came to WireGuard's port."""
        self._dispatch(data, source, Base(local))

    def on_relay(self, data: bytes, peer: Address, relayed: Address) -> None:
        """A datagram came to our relayed address."""
        self._dispatch(data, peer, Base(relayed.ip, relayed))

    def on_socket(self, data: bytes, source: Address, base: Base) -> None:
        """A datagram came to a socket that a port search found."""
        self._dispatch(data, source, base)

    def _dispatch(self, data: bytes, source: Address, base: Base) -> None:
        try:
            message = binding.parse(data)
        except ValueError:
            self.dropped += 1
            return
        handler: Handler | None = None
        if message.message_class == stun.Class.REQUEST:
            handler = self._by_ufrag.get(str(message.attributes.get("USERNAME", "")).partition(":")[0])
        elif (found := self._by_transaction.pop(message.transaction_id, None)) is not None:
            handler = found[0]
        if handler is None:
            self.dropped += 1
            return
        handler(message, source, base)
