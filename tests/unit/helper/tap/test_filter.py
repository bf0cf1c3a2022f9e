import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.tap.linux import DROP_ALL, stun_filter
from helper.tap.packets import ipv4_packet, ipv6_packet
from protocol.addresses import Address
from tests.unit.helper.tap.bpf import run

PORT = 51820
BINDING_REQUEST = struct.pack("!HHI", 0x0001, 0, 0x2112A442) + bytes(12)
HANDSHAKE = struct.pack("<II", 1, 77) + bytes(140)
FALSE_FRIEND = struct.pack("!II", 0x01000000, 0x2112A442) + bytes(140)
CHANNEL_DATA = struct.pack("!HHI", 0x4001, 100, 0x2112A442) + bytes(96)


def passes(payload: bytes, port: int = PORT, *, ipv6: bool) -> bool:
    if ipv6:
        packet = ipv6_packet(payload, Address.parse("[2001:db8::7]:9"), Address.parse(f"[2001:db8::1]:{port}"))[40:]
    else:
        packet = ipv4_packet(payload, Address.parse("203.0.113.7:9"), Address.parse(f"192.0.2.1:{port}"))
    return run(stun_filter(PORT, ipv6=ipv6), packet) > 0


@pytest.mark.parametrize("ipv6", [False, True])
def test_only_stun_on_our_port_passes(ipv6: bool) -> None:
    assert passes(BINDING_REQUEST, ipv6=ipv6)
    assert not passes(BINDING_REQUEST, port=PORT + 1, ipv6=ipv6)
    assert not passes(HANDSHAKE, ipv6=ipv6)
    assert not passes(FALSE_FRIEND, ipv6=ipv6)
    assert not passes(CHANNEL_DATA, ipv6=ipv6)


@given(st.binary(max_size=200), st.booleans())
def test_the_program_agrees_with_the_rule_whatever_comes(payload: bytes, ipv6: bool) -> None:
    def is_stun(data: bytes) -> bool:
        return len(data) >= 8 and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42" and data[:4] != b"\1\0\0\0"

    for data in (payload, payload[:4] + b"\x21\x12\xa4\x42" + payload[4:]):
        assert passes(data, ipv6=ipv6) is is_stun(data)


def test_ipv4_options_move_what_is_looked_at() -> None:
    packet = ipv4_packet(BINDING_REQUEST, Address.parse("203.0.113.7:9"), Address.parse(f"192.0.2.1:{PORT}"))
    assert run(stun_filter(PORT, ipv6=False), b"\x46" + packet[1:20] + bytes(4) + packet[20:])


def test_before_the_real_program_nothing_passes() -> None:
    assert run(DROP_ALL, bytes(100)) == 0
