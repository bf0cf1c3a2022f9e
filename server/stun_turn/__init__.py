"""A STUN and TURN server (RFC 8489, RFC 8656)."""

from server.stun_turn.config import TurnConfig
from server.stun_turn.own_addresses import own_addresses
from server.stun_turn.service import TurnService

__all__ = ["TurnConfig", "TurnService", "own_addresses"]
