"""What makes a datagram STUN, for all who must tell it from WireGuard and from TURN's channels."""

HEADER_LENGTH = 20  # bytes: type, length, magic cookie, transaction id (RFC 8489, section 5)
MAGIC_COOKIE = bytes.fromhex("2112a442")


def is_stun(data: bytes | memoryview) -> bool:
    """Say whether the first bytes can be a STUN message: two zero bits, whole words, the magic cookie (RFC 8489, section 5).

    WireGuard's messages have random bytes where the cookie stands, but a zero second byte, which no method of STUN gives.
    """
    return len(data) >= HEADER_LENGTH and data[0] < 0x40 and data[1] != 0 and data[3] & 3 == 0 and data[4:8] == MAGIC_COOKIE
