from ipaddress import ip_address

import pytest

from protocol.addresses import Address
from server.front_door.listeners import in_both_families

V4, V6 = ip_address("203.0.113.10"), ip_address("2001:db8::10")


@pytest.mark.parametrize(
    ("listen", "public", "also"),
    [
        ("0.0.0.0:443", (V4, V6), ("[::]:443",)),
        ("0.0.0.0:443", (V4,), ()),
        ("[::]:443", (V4, V6), ("0.0.0.0:443",)),
        ("[::]:443", (V6,), ()),
        ("203.0.113.10:443", (V4, V6), ()),
        ("[2001:db8::10]:443", (V4, V6), ()),
    ],
)
def test_a_wildcard_stands_for_both_families_that_the_server_has(
    listen: str, public: tuple[object, ...], also: tuple[str, ...]
) -> None:
    assert tuple(map(str, in_both_families(Address.parse(listen), public))) == (listen, *also)  # type: ignore[arg-type]
