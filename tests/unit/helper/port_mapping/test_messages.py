"""What routers send is believed only as far as it can be read."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from helper.port_mapping import igd, nat_pmp, pcp
from helper.port_mapping.gateway import Gateway, find_gateway
from helper.port_mapping.xml_reader import read_xml

ROUTER, BASE = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.7")
NONCE = bytes(range(12))
PCP_ANSWER = bytes.fromhex(
    "0281000000000e10000000020000000000000000000000008007bb977e092fb53160e9de11000000ca6cca6c00000000000000000000ffffc6290001"
)  # miniupnpd 2.3.1
DESCRIPTION = b"""<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3f</controlURL></service>
</serviceList><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/ppp</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>ip/control?a=1</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType><controlURL>http://10.9.9.9/</controlURL></service>
</serviceList></device></deviceList></device></root>"""


def test_a_pcp_request_has_the_layout_of_the_rfc() -> None:
    request = pcp.map_udp(BASE, NONCE, 51820, 40000, 3600)
    assert request == (
        bytes((2, 1, 0, 0)) + (3600).to_bytes(4, "big") + b"\0" * 10 + b"\xff\xff" + BASE.packed
        + NONCE + bytes((17, 0, 0, 0)) + (51820).to_bytes(2, "big") + (40000).to_bytes(2, "big")
        + b"\0" * 10 + b"\xff\xff" + b"\0" * 4
    )  # fmt: skip
    assert len(pcp.announce(BASE)) == 24


def test_a_real_routers_answers_are_read() -> None:
    answer = pcp.parse(PCP_ANSWER)
    assert isinstance(answer, pcp.MapResponse)
    assert (answer.result, answer.lifetime, answer.epoch, answer.internal_port) == (0, 3600, 2, 51820)
    assert (answer.external_ip, answer.external_port) == (IPv4Address("198.41.0.1"), 51820)
    assert nat_pmp.parse(bytes.fromhex("0080000000000002c6290001")) == nat_pmp.ExternalAddress(0, 0, 2, IPv4Address("198.41.0.1"))
    assert nat_pmp.parse(bytes.fromhex("0081000000000002ca6dca6d00000e10")) == nat_pmp.Mapped(1, 0, 2, 51821, 51821, 3600)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: bytes((2, 0x81, 0, 0)) + tail))
def test_no_datagram_breaks_the_parsers(data: bytes) -> None:
    for parse in (pcp.parse, nat_pmp.parse, lambda data: igd.read_search_answer(data, ROUTER)):
        try:
            parse(data)
        except ValueError:
            continue
    pcp.is_refusal_of_version(data)


XML_PIECES = st.lists(
    st.sampled_from(
        [
            b"<a>",
            b"</a>",
            b"<service>",
            b"</service>",
            b"<!DOCTYPE a [",
            b"]>",
            b"&lt;",
            b"&x;",
            b"<u:b c='d'/>",
            b"text",
            b"\xff",
        ]
    )
)


@given(st.binary(max_size=200) | XML_PIECES.map(b"".join))
def test_no_document_breaks_the_readers(data: bytes) -> None:
    for read in (
        lambda: igd.read_description(data, "http://192.168.1.1/", ROUTER),
        lambda: igd.read_action_answer("X", 500, data),
    ):
        try:
            read()
        except (ValueError, igd.ActionFailed):
            continue


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE a SYSTEM 'http://192.168.1.99/x'><a/>",
        b"<!DOCTYPE a [<!ENTITY x 'xxxx'><!ENTITY y '&x;&x;'>]><a>&y;</a>",
        b"<a>" * 100 + b"</a>" * 100,
        b"<a>" + b"<b/>" * 5000 + b"</a>",
        b"<?xml version='1.0' encoding='nonsense'?><a/>",
    ],
)
def test_documents_that_would_fetch_or_swell_are_refused(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_xml(document)


def test_a_search_answer_leads_to_the_router_that_gave_it_and_nowhere_else() -> None:
    def answer(location: str, target: str = igd.TARGETS[0]) -> bytes:
        return f"HTTP/1.1 200 OK\r\nST: {target}\r\nLocation: {location}\r\n\r\n".encode()

    assert igd.read_search_answer(answer("http://192.168.1.1:5000/root.xml"), ROUTER) == "http://192.168.1.1:5000/root.xml"
    for elsewhere in (
        "http://192.168.1.2:5000/root.xml", "https://192.168.1.1/", "http://router/", "http://192.168.1.1@10.0.0.1/", "file:///etc/passwd",
        "http://192.168.1.1:99999/", "http://[::1", "",
    ):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011
            igd.read_search_answer(answer(elsewhere), ROUTER)
    with pytest.raises(ValueError, match="another search"):
        igd.read_search_answer(answer("http://192.168.1.1/", "urn:schemas-upnp-org:device:Printer:1"), ROUTER)


def test_a_description_names_the_services_that_map_ports_the_best_first() -> None:
    assert igd.read_description(DESCRIPTION, "http://192.168.1.1:5000/x/root.xml", ROUTER) == [
        igd.Service("urn:schemas-upnp-org:service:WANIPConnection:1", "http://192.168.1.1:5000/x/ip/control?a=1"),
        igd.Service("urn:schemas-upnp-org:service:WANPPPConnection:1", "http://192.168.1.1:5000/ppp"),
    ]


def test_a_refused_action_tells_the_routers_error() -> None:
    fault = b"<Body><Fault><errorCode>725</errorCode><errorDescription>\x0aOnly permanent</errorDescription></Fault></Body>"
    with pytest.raises(igd.ActionFailed, match=r"error 725 \(Only permanent\)") as caught:
        igd.read_action_answer("AddPortMapping", 500, fault)
    assert caught.value.reason == "only-permanent"


LAN = LocalAddress("eth0", BASE, 24)
ROUTE = DefaultRoute("eth0", ROUTER, 100)


@pytest.mark.parametrize(
    ("addresses", "routes", "found"),
    [
        ([LAN], [ROUTE], Gateway(ROUTER, BASE)),
        ([LAN, LocalAddress("eth0", IPv4Address("172.16.0.3"), 16)], [ROUTE], Gateway(ROUTER, BASE)),
        ([LAN, LocalAddress("eth1", IPv4Address("203.0.113.9"), 24)], [ROUTE], None),  # it can be reached as it is
        ([LAN], [DefaultRoute("ppp0", None, 0)], None),
        ([LAN], [], None),
        ([], [ROUTE], None),
    ],
)
def test_the_router_of_the_best_route_is_asked_unless_this_machine_is_public(
    addresses: list[LocalAddress], routes: list[DefaultRoute], found: Gateway | None
) -> None:
    assert find_gateway(Snapshot(frozenset(addresses), tuple(routes))) == found
