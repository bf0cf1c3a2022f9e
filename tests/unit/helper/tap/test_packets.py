import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.tap.packets import ipv4_packet, ipv6_packet, read_ipv4, read_ipv6, udp_checksum, udp_header
from protocol.addresses import Address

THEIRS, OURS = Address.parse("203.0.113.7:3478"), Address.parse("192.0.2.1:51820")
THEIRS6, OURS6 = Address.parse("[2001:db8:7::7]:3478"), Address.parse("[2001:db8::1]:51820")


@given(st.binary(max_size=1500))
def test_what_is_packed_can_be_read(payload: bytes) -> None:
    assert read_ipv4(ipv4_packet(payload, THEIRS, OURS)) == (payload, THEIRS, OURS.ip)
    packet = ipv6_packet(payload, THEIRS6, OURS6)
    assert read_ipv6(packet[40:], str(THEIRS6.ip), OURS6.ip.packed) == (payload, THEIRS6, OURS6.ip)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_readers(packet: bytes) -> None:
    read_ipv4(packet)
    read_ipv4(b"\x45" + packet[1:9] + b"\x11" + packet[10:])
    read_ipv6(packet, "2001:db8::1", OURS6.ip.packed)


@given(st.binary(max_size=101))
def test_a_checksum_makes_the_sum_over_all_come_out_as_all_ones(payload: bytes) -> None:
    header = udp_header(1, 2, len(payload))
    checksum = udp_checksum(THEIRS.ip, OURS.ip, header, payload)
    whole = THEIRS.ip.packed + OURS.ip.packed + struct.pack("!HH", 17, 8 + len(payload))
    whole += udp_header(1, 2, len(payload), checksum) + payload + bytes(len(payload) % 2)
    assert 0 < checksum <= 0xFFFF
    assert sum(struct.unpack(f"!{len(whole) // 2}H", whole)) % 0xFFFF == 0


def test_options_in_the_ipv4_header_are_stepped_over() -> None:
    plain = ipv4_packet(b"stun", THEIRS, OURS)
    with_options = b"\x46" + plain[1:20] + b"\x01\x01\x01\x00" + plain[20:]
    assert read_ipv4(with_options) == (b"stun", THEIRS, OURS.ip)


def test_multicast_broadcast_and_scoped_senders_are_nothing_to_answer() -> None:
    assert read_ipv4(ipv4_packet(b"stun", THEIRS, Address.parse("224.0.0.1:51820"))) is None
    assert read_ipv4(ipv4_packet(b"stun", THEIRS, Address.parse("255.255.255.255:51820"))) is None
    udp = ipv6_packet(b"stun", THEIRS6, OURS6)[40:]
    assert read_ipv6(udp, "fe80::1%eth0", OURS6.ip.packed) is None
    assert read_ipv6(udp, "2001:db8::7", ipaddress.IPv6Address("ff02::1").packed) is None


def test_a_payload_that_fits_no_datagram_is_refused() -> None:
    with pytest.raises(ValueError, match="65527"):
        udp_header(1, 2, 65528)
    with pytest.raises(ValueError, match="65535"):
        ipv4_packet(bytes(65520), THEIRS, OURS)
