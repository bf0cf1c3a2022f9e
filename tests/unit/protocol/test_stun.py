import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import Address
from protocol.stun import long_term_key, pack_xor_address, unpack_xor_address

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("192.0.2.1:32853", "0001a147e112a643"),
        ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ],
)
def test_an_address_is_masked_as_in_the_vectors_of_rfc_5769(address: str, value: str) -> None:
    assert pack_xor_address(Address.parse(address), TRANSACTION) == bytes.fromhex(value)


def test_the_long_term_key_is_that_of_the_example_in_rfc_5389() -> None:
    assert long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(min_size=12, max_size=12))
def test_addresses_return_as_they_were(ip: object, port: int, transaction: bytes) -> None:
    address = Address.of(str(ip), port)
    assert unpack_xor_address(pack_xor_address(address, transaction), transaction) == address


@given(st.binary(max_size=24))
def test_whatever_is_no_address_is_refused_in_a_sentence(value: bytes) -> None:
    if (len(value), value[1:2]) in {(8, b"\x01"), (20, b"\x02")}:
        assert unpack_xor_address(value, TRANSACTION)
    else:
        with pytest.raises(ValueError, match="neither IPv4 nor IPv6"):
            unpack_xor_address(value, TRANSACTION)
