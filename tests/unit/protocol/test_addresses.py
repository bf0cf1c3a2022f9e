import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import Address

ADDRESSES = st.builds(Address, st.ip_addresses(), st.integers(0, 65535))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535),
        ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert address.is_ipv6 == (":" in host)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1: 1",
        "192.0.2.1:65536",
        "192.0.2.1:" + "9" * 5000,
        "192.0.2.1:٨٠",
        "192.0.2:80",
        "example.org:80",
        "2001:db8::1:80",
        "[2001:db8::1]",
        "[2001:db8::1:80",
        "[fe80::1%eth0]:80",
        "\x00:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Address.parse(text)


@given(ADDRESSES)
def test_an_address_survives_its_text(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert Address.of(address.host, address.port) == address


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert Address.parse(str(address)) == address


def test_an_ipv6_address_in_a_text_stands_in_brackets() -> None:
    assert str(Address(ipaddress.ip_address("2001:db8::1"), 443)) == "[2001:db8::1]:443"
    assert str(Address(ipaddress.ip_address("192.0.2.1"), 443)) == "192.0.2.1:443"
