"""The server's side of a script for `TurnCore`: reads what it sends, writes signed answers."""

from typing import Any

from aioice import stun

from helper.relay import turn_messages as turn
from helper.relay.turn_actions import Action, Allocated, Transmit
from helper.relay.turn_core import TurnCore
from protocol.addresses import Address
from protocol.stun import long_term_key

RELAYED, MAPPED = Address.parse("203.0.113.1:50000"), Address.parse("198.51.100.7:4711")
RELAYED_V6 = Address.parse("[2001:db8::1]:50000")
PEER, OTHER = Address.parse("192.0.2.5:51820"), Address.parse("192.0.2.6:51820")
PASSWORD = "open sesame"


def requests(actions: list[Action]) -> list[stun.Message]:
    """The STUN messages among what is to be sent."""
    return [turn.parse(action.data) for action in actions if isinstance(action, Transmit) and action.data[0] < 4]


def only(actions: list[Action]) -> stun.Message:
    (message,) = requests(actions)
    return message


def key_of(request: stun.Message, password: str = PASSWORD) -> bytes:
    return long_term_key(request.attributes["USERNAME"], request.attributes["REALM"], password)


def succeed(request: stun.Message, password: str = PASSWORD, **attributes: Any) -> bytes:
    answer = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
    answer.attributes.update({name.replace("_", "-"): value for name, value in attributes.items()})
    answer.add_message_integrity(key_of(request, password))
    return bytes(answer)


def refuse(request: stun.Message, code: int, *, nonce: bytes | None = None, realm: str | None = None) -> bytes:
    answer = stun.Message(request.message_method, stun.Class.ERROR, request.transaction_id)
    answer.attributes["ERROR-CODE"] = (code, "no")
    if realm is not None:
        answer.attributes["REALM"] = realm
    if nonce is not None:
        answer.attributes["NONCE"] = nonce
    return bytes(answer)


def grant(request: stun.Message, lifetime: int = 600, relayed: Address = RELAYED) -> bytes:
    return succeed(
        request,
        LIFETIME=lifetime,
        XOR_RELAYED_ADDRESS=(relayed.host, relayed.port),
        XOR_MAPPED_ADDRESS=(MAPPED.host, MAPPED.port),
    )


def challenged(*, reliable: bool = False) -> tuple[TurnCore, stun.Message]:
    """A client at time 0 that has been asked for its credentials, and the Allocate with them."""
    core = TurnCore("relay.test", "alice", PASSWORD, reliable=reliable)
    first = only(core.start(0.0))
    return core, only(core.receive(refuse(first, 401, nonce=b"n1", realm="covey"), 0.0))


def allocated(*, reliable: bool = False, lifetime: int = 600, relayed: Address = RELAYED) -> TurnCore:
    core, request = challenged(reliable=reliable)
    assert core.receive(grant(request, lifetime, relayed), 0.0) == [Allocated(relayed, MAPPED)]
    return core


def permitted(core: TurnCore, peer: Address = PEER) -> None:
    core.permit(peer.ip, 0.0)
    core.receive(succeed(only(core.time_passed(0.0))), 0.0)


def bound(core: TurnCore, peer: Address = PEER) -> int:
    permitted(core, peer)
    assert core.bind(peer, 0.0) == []
    request = only(core.time_passed(0.0))
    core.receive(succeed(request), 0.0)
    return int(request.attributes["CHANNEL-NUMBER"])
