"""Who asks: long-term credentials that say when they end (RFC 8489, section 9.2). Pure.

no integrity --401--> realm and nonce --signed--> known --nonce too old--> 438 and a new one
"""

import hmac
from dataclasses import dataclass

from protocol.stun import Attribute, long_term_key
from server.stun_turn import codec
from server.stun_turn.allocations import Allocation, ClientId
from server.stun_turn.codec import Message, Method
from server.stun_turn.config import TurnConfig
from server.stun_turn.credentials import Nonces, User, parse_username, password_for
from server.stun_turn.requests import Refused, peers_of

CREDENTIAL_GRACE = 86400.0  # seconds that an expired username may go on with the peers it has; ours


@dataclass(frozen=True, slots=True)
class Request:
    message: Message
    client: ClientId
    user: User
    key: bytes


class Authentication:
    """`barred` are the user ids that are refused from now on, however long their credentials are good for."""

    def __init__(self, config: TurnConfig) -> None:
        self.barred: frozenset[str] = frozenset()
        self._config = config
        self._nonces = Nonces(config.secret, config.nonce_lifetime)

    def check(self, message: Message, client: ClientId, allocation: Allocation | None, now: float, wall: float) -> Request:
        """RFC 8489, section 9.2.4. Raises Refused.

        Args:
            allocation: what the client has.
            now: the event loop's clock; `wall` is unix time. Both in seconds.
        """
        challenge = (
            (Attribute.REALM, self._config.realm.encode()),
            (Attribute.NONCE, self._nonces.make(_tuple_bytes(client), wall)),
        )
        if message.integrity is None:
            raise Refused(401, *challenge)
        username, nonce = message.get(Attribute.USERNAME), message.get(Attribute.NONCE)
        if username is None or nonce is None or message.get(Attribute.REALM) is None:
            raise Refused(400)
        if not self._nonces.holds(nonce, _tuple_bytes(client), wall):
            raise Refused(438, *challenge)
        try:
            name = username.decode()
            user = parse_username(name)
        except ValueError:
            raise Refused(401, *challenge) from None
        key = long_term_key(name, self._config.realm, password_for(self._config.secret, name))
        if not hmac.compare_digest(codec.integrity_of(message.signed, key), message.integrity):
            raise Refused(401, *challenge)
        if user.user_id in self.barred:
            raise Refused(403, key=key)
        if user.expiry <= wall and not (wall < user.expiry + CREDENTIAL_GRACE and _only_goes_on(message, allocation, now)):
            raise Refused(401, *challenge)
        return Request(message, client, user, key)


def _only_goes_on(message: Message, allocation: Allocation | None, now: float) -> bool:
    """Whether the request asks for nothing that the client does not have yet."""
    try:
        known = all(allocation is None or allocation.has_permission(peer.ip, now) for peer in peers_of(message))
    except ValueError:
        return False
    return known and message.method != Method.ALLOCATE


def _tuple_bytes(client: ClientId) -> bytes:
    return f"{client.protocol} {client.remote} {client.local}".encode()
