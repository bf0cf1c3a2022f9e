"""IP and UDP packets as a raw socket sees and sends them. Pure."""

import ipaddress
import struct
from typing import NamedTuple

from protocol.addresses import Address, IPAddress

UDP = 17  # protocol number
UDP_HEADER = struct.Struct("!HHHH")  # source port, destination port, length with this header, checksum
IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")  # RFC 791, section 3.1; without options
IPV6_HEADER = struct.Struct("!IHBB16s16s")  # RFC 8200, section 3
HOP_LIMIT = 64


class Received(NamedTuple):
    data: bytes
    sender: Address
    destination: IPAddress


def read_ipv4(packet: bytes) -> Received | None:
    """Take a UDP datagram out of an IPv4 packet; None if it is none, is cut off, or went to more than one machine."""
    if len(packet) < IPV4_HEADER.size or packet[0] >> 4 != 4 or packet[9] != UDP:
        return None
    start = 4 * (packet[0] & 0x0F)
    destination = ipaddress.IPv4Address(packet[16:20])
    if start < IPV4_HEADER.size or destination.is_multicast or packet[16:20] == b"\xff\xff\xff\xff":
        return None
    return _read_udp(packet[start:], ipaddress.IPv4Address(packet[12:16]), destination)


def read_ipv6(datagram: bytes, sender: str, destination: bytes) -> Received | None:
    """Take apart what an IPv6 raw socket hands over: a packet from its UDP header on; None as for `read_ipv4`.

    A sender with a scope (`fe80::1%eth0`) gives None too: such an address means nothing beyond its link.
    """
    try:
        ours, theirs = ipaddress.IPv6Address(destination), ipaddress.IPv6Address(sender)
    except ValueError:
        return None
    if ours.is_multicast or theirs.scope_id is not None:
        return None
    return _read_udp(datagram, theirs, ours)


def _read_udp(datagram: bytes, sender: IPAddress, destination: IPAddress) -> Received | None:
    if len(datagram) < UDP_HEADER.size:
        return None
    port, _, length, _ = UDP_HEADER.unpack_from(datagram)
    if not UDP_HEADER.size <= length <= len(datagram):
        return None
    return Received(datagram[UDP_HEADER.size : length], Address(sender, port), destination)


def udp_header(source_port: int, destination_port: int, payload_length: int, checksum: int = 0) -> bytes:
    """A UDP header (RFC 768). Raises ValueError for a payload too long for one datagram."""
    if payload_length > 65535 - UDP_HEADER.size:
        raise ValueError("a UDP datagram carries at most 65527 bytes")
    return UDP_HEADER.pack(source_port, destination_port, UDP_HEADER.size + payload_length, checksum)


def udp_checksum(source: IPAddress, destination: IPAddress, header: bytes, payload: bytes | memoryview) -> int:
    """The checksum over pseudo header, UDP header (its own checksum 0) and payload; never 0, which would mean none.

    Source: RFC 768; RFC 8200, section 8.1. The two pseudo headers hold the same words but for zeros, so they sum up alike.
    """
    pseudo = source.packed + destination.packed + struct.pack("!HH", UDP, len(header) + len(payload))
    return _internet_checksum(b"".join((pseudo, header, payload))) or 0xFFFF


def _internet_checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4_packet(payload: bytes | memoryview, source: Address, destination: Address) -> bytes:
    """A UDP datagram in IPv4 for IPPROTO_RAW. The kernel fills in header checksum and identification.

    The UDP checksum is 0, which stands for none (RFC 768): it does not leave this machine.
    """
    udp = udp_header(source.port, destination.port, len(payload))
    length = IPV4_HEADER.size + len(udp) + len(payload)
    if length > 65535:
        raise ValueError("an IPv4 packet has at most 65535 bytes")
    addresses = (source.ip.packed, destination.ip.packed)
    return b"".join((IPV4_HEADER.pack(0x45, 0, length, 0, 0, HOP_LIMIT, UDP, 0, *addresses), udp, payload))


def ipv6_packet(payload: bytes | memoryview, source: Address, destination: Address) -> bytes:
    """A UDP datagram in IPv6 for IPPROTO_RAW; here the UDP checksum must be there (RFC 8200, section 8.1)."""
    udp = udp_header(source.port, destination.port, len(payload))
    udp = udp_header(source.port, destination.port, len(payload), udp_checksum(source.ip, destination.ip, udp, payload))
    addresses = (source.ip.packed, destination.ip.packed)
    return b"".join((IPV6_HEADER.pack(6 << 28, len(udp) + len(payload), UDP, HOP_LIMIT, *addresses), udp, payload))
