"""Reads STUN and TURN servers from the wire. Pure. A URI that makes no sense is skipped alone."""

import logging

from helper.relay.servers import TurnServer, parse_stun_uri, parse_turn_uri
from protocol.generated.management_pb2 import NetbirdConfig

log = logging.getLogger(__name__)


def read_stun_servers(config: NetbirdConfig) -> tuple[tuple[str, int], ...]:
    """Hosts (names or IP literals) and ports."""
    found: list[tuple[str, int]] = []
    for entry in config.stuns:
        try:
            found.append(parse_stun_uri(entry.uri))
        except ValueError as error:
            log.warning("skipped a STUN server: %s", error)
    return tuple(dict.fromkeys(found))


def read_turn_servers(config: NetbirdConfig) -> tuple[TurnServer, ...]:
    found: list[TurnServer] = []
    for entry in config.turns:
        try:
            host, port, transport = parse_turn_uri(entry.hostConfig.uri)
        except ValueError as error:
            log.warning("skipped a TURN server: %s", error)
            continue
        found.append(TurnServer(host, port, transport, entry.user, entry.password))
    return tuple(dict.fromkeys(found))
