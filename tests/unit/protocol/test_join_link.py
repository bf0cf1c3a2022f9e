import contextlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.join_link import JoinLink, ServerLocation

PIN = bytes(range(32))
PIN_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
KEY = "a8b7c6d5-0123-4567-89ab-cdef01234567"

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8})?", fullmatch=True)
HOSTS = NAMES | st.ip_addresses().map(str)
SERVERS = st.builds(
    ServerLocation,
    st.lists(HOSTS, min_size=1, max_size=4).map(tuple),
    st.integers(1, 65535),
    st.none() | st.binary(min_size=32, max_size=32),
    st.booleans(),
)
LINKS = st.builds(JoinLink, SERVERS, st.none() | st.uuids().map(str))


def test_a_whole_link_is_read() -> None:
    link = JoinLink.parse(f"covey://203.0.113.10:8443/join/alt.2001:db8::10/alt.vpn.example.org/pin.{PIN_TEXT}/key.{KEY}")
    assert link == JoinLink(ServerLocation(("203.0.113.10", "2001:db8::10", "vpn.example.org"), 8443, PIN), KEY)


@given(LINKS)
def test_a_link_survives_its_text(link: JoinLink) -> None:
    assert JoinLink.parse(str(link)) == link


@given(LINKS)
def test_no_character_of_a_link_needs_quoting_in_a_shell(link: JoinLink) -> None:
    text = str(link)
    assert text.isascii()
    assert not set(text) & set(" \t\n'\"\\$`!&|;<>(){}*?#~=%")


@given(st.permutations([f"pin.{PIN_TEXT}", f"key.{KEY}", "plain", "alt.192.0.2.9"]))
def test_the_order_of_segments_does_not_matter(segments: list[str]) -> None:
    link = JoinLink.parse("covey://192.0.2.1/join/" + "/".join(segments))
    assert link == JoinLink(ServerLocation(("192.0.2.1", "192.0.2.9"), 443, PIN, tls=False), KEY)


def test_a_short_link_pasted_with_space_around_it_is_enough() -> None:
    assert JoinLink.parse("  covey://vpn.example.org/join\n") == JoinLink(ServerLocation(("vpn.example.org",)))


def test_what_a_later_version_may_add_is_passed_over() -> None:
    assert JoinLink.parse("covey://192.0.2.1/join/flavour.mint/alt.192.0.2.2").server.hosts == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with covey://"),
        ("https://vpn.example.org/join", "begins with covey://"),
        ("covey://vpn.example.org/", "begins with covey://"),
        ("covey:///join", "begins with covey://"),
        ("covey://vpn.example.org:70000/join", "damaged"),
        ("covey://[2001:db8::/join", "damaged"),
        ("covey://a b/join", "neither an IP address nor the name of a host"),
        ("covey://192.0.2.1/join/alt.", "neither an IP address nor the name of a host"),
        ("covey://192.0.2.1/join/alt.2001:db8:::1", "neither an IP address nor the name of a host"),
        (f"covey://192.0.2.1/join/pin.{PIN_TEXT[:-2]}", "fingerprint in the join link is damaged"),
        (f"covey://192.0.2.1/join/pin.{PIN_TEXT[:-1]}!", "fingerprint in the join link is damaged"),
        ("covey://192.0.2.1/join/pin.", "fingerprint in the join link is damaged"),
        (f"covey://192.0.2.1/join/key.{KEY[:-1]}", "setup key in the join link is damaged"),
        ("covey://192.0.2.1/join/key.", "setup key in the join link is damaged"),
    ],
)
def test_a_damaged_link_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        JoinLink.parse(text)


def test_a_damaged_setup_key_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="setup key") as caught:
        JoinLink.parse(f"covey://192.0.2.1/join/key.{KEY}0")
    assert KEY not in str(caught.value)


@given(
    st.text(max_size=80)
    | st.text(max_size=60).map("covey://192.0.2.1/join/".__add__)
    | st.text(max_size=40).map("covey://".__add__)
)
def test_any_text_is_a_link_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert JoinLink.parse(text).server.hosts


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://vpn.example.org", ServerLocation(("vpn.example.org",), 443)),
        (" HTTPS://VPN.example.org:8443/\n", ServerLocation(("vpn.example.org",), 8443)),
        ("http://192.0.2.1", ServerLocation(("192.0.2.1",), 80, tls=False)),
        ("http://[2001:db8::1]:8080", ServerLocation(("2001:db8::1",), 8080, tls=False)),
        ("https://xn--mller-kva.example", ServerLocation(("xn--mller-kva.example",))),
    ],
)
def test_a_server_s_url_is_read(url: str, location: ServerLocation) -> None:
    assert ServerLocation.from_url(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "vpn.example.org",
        "vpn.example.org:443",
        "ftp://vpn.example.org",
        "https://",
        "https://h:x",
        "https://[::1",
        "https://a b",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"host|URL"):
        ServerLocation.from_url(url)


@given(SERVERS)
def test_a_server_s_url_leads_back_to_it(server: ServerLocation) -> None:
    again = ServerLocation.from_url(server.url)
    assert (again.hosts, again.port, again.tls) == (server.hosts[:1], server.port, server.tls)


def test_a_setup_key_is_written_the_usual_way() -> None:
    assert JoinLink.parse(f"covey://h/join/key.{KEY.upper()}").setup_key == KEY == str(uuid.UUID(KEY))
