"""Golden vectors that other implementations of the wire format must reproduce."""

from protocol.keys import PrivateKey

A = PrivateKey(bytes(range(0x01, 0x21)))
B = PrivateKey(bytes(range(0x21, 0x41)))

A_PRIVATE, A_PUBLIC = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
B_PRIVATE, B_PUBLIC = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=", "WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns="

NONCE = bytes(range(0x18))
PLAINTEXT = b"covey"
SEALED_BY_A_FOR_B = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0f1011121314151617bf8cbcf3de3ce446b0691647cdf7718b719aad3c23"  # nonce, tag, ciphertext
)
