"""What a report must not tell, and what it must go on telling."""

import base64
import ipaddress
import json

from hypothesis import example, given
from hypothesis import strategies as st

from helper.diagnose.redaction import KEPT_NETWORKS, Known, Redactor
from protocol.keys import PrivateKey

PRIVATE = PrivateKey(bytes(range(32)))
BOB, CAROL = PrivateKey(bytes(range(1, 33))).public.text, PrivateKey(bytes(range(2, 34))).public.text
SETUP_KEY = "A8B7C6D5-0123-4567-89AB-CDEF01234567"
TURN_PASSWORD = base64.b64encode(bytes(range(100, 120))).decode()
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGFAZXhhbXBsZS5vcmcifQ.c2lnbmF0dXJlLW9mLWl0"
SECRETS = (PRIVATE.secret_text, PRIVATE.raw.hex(), SETUP_KEY, TURN_PASSWORD, JWT, "hunter2hunter2")


def known() -> Known:
    return Known(
        secrets={PRIVATE.secret_text, PRIVATE.raw.hex(), TURN_PASSWORD, "hunter2hunter2"},
        peers={"bob.covey.internal", "carol.covey.internal"},
        keys={BOB: "bob.covey.internal", CAROL: "carol.covey.internal"},
        own={"adas-laptop.covey.internal", "adas-laptop"},
        hosts={"vpn.example.org", "203.0.113.10"},
        accounts={"Work & home", "default"},
    )


def clean(text: str) -> str:
    return Redactor(known()).text(text)


around = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
SEPARATORS = st.sampled_from(["", " ", "=", ":", '"', "'", ",", "/", "\n", "\\n", "(", "?token=", "key: "])


@given(before=around, after=around, left=SEPARATORS, right=SEPARATORS, secret=st.sampled_from(SECRETS), names=st.booleans())
@example(before="A", after="A", left="", right="", secret=TURN_PASSWORD, names=True)
def test_no_secret_that_is_known_survives_anywhere(
    before: str, after: str, left: str, right: str, secret: str, names: bool
) -> None:
    everything = known()
    everything.secrets |= set(SECRETS)
    redactor = Redactor(everything, include_names=names)
    text = f"{before}{left}{secret}{right}{after}"
    assert secret not in redactor.text(text)
    assert secret not in json.dumps(redactor.document({"some": [text], text: 1}))


@given(left=SEPARATORS, right=SEPARATORS, secret=st.sampled_from((PRIVATE.secret_text, PRIVATE.raw.hex(), SETUP_KEY, JWT)))
def test_what_has_the_form_of_a_secret_goes_though_nobody_knows_it(left: str, right: str, secret: str) -> None:
    assert secret not in Redactor(Known(), include_names=True).text(
        f"say{left}{secret}{right}" if left else f"say {secret}{right}"
    )


@example(ip=ipaddress.ip_address("::ffff:0:0"), left="", right="")
@given(
    ip=st.ip_addresses(),
    left=st.sampled_from(["", " ", "[", "(", "from ", "host ", "=", "://"]),
    right=st.sampled_from(["", " ", "]:443", ")", ": lost", ", ", "/64", "%eth0", " -> "]),
)
def test_public_addresses_go_and_the_same_one_has_the_same_pseudonym(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, left: str, right: str
) -> None:
    text = f"{left}{ip}{right}"
    redactor = Redactor(Known())
    cleaned = redactor.text(f"{text} {ip.exploded}")
    embeds = ip.version == 6 and (ip.ipv4_mapped is not None or ip.packed[11:13] == b"\xff\xfe")
    meant = (ip.ipv4_mapped if ip.version == 6 else None) or ip
    if any(meant.version == kept.version and meant in kept for kept in KEPT_NETWORKS):
        assert embeds or str(ip) in cleaned
    else:
        assert str(ip) not in cleaned
        assert cleaned.count("ip-1") == 2


def test_the_story_can_still_be_followed() -> None:
    story = (
        f"peer {BOB[:6]}: connected directly (host 192.168.1.7:51820 -> srflx 198.51.100.7:41000), 212 ms\n"
        f"Bob is reached by the relay 203.0.113.10:3478, was 198.51.100.7; bob.covey.internal {BOB}, 100.92.0.2\n"
        "adas-laptop: signal lost: https://vpn.example.org:443 does not answer; ada@example.org in Work & home, /home/ada/x\n"
        "gone.covey.internal at turn:other.example.net:3478, link/ether 52:54:00:12:34:56, carol is called"
    )
    assert clean(story).splitlines() == [
        "peer peer-1: connected directly (host 192.168.1.7:51820 -> srflx ip-1:41000), 212 ms",
        "peer-1 is reached by the relay ip-2:3478, was ip-1; peer-1 [key of peer-1], 100.92.0.2",
        "this-machine: signal lost: https://host-1:443 does not answer; person-1 in account-1, /home/user-1/x",
        "peer-3 at turn:host-2:3478, link/ether mac-1, peer-2 is called",
    ]


def test_names_stay_where_they_are_wanted_and_secrets_do_not() -> None:
    redactor = Redactor(known(), include_names=True)
    text = f"bob.covey.internal {BOB} 198.51.100.7 ada@example.org"
    assert redactor.text(f"{text} {PRIVATE.secret_text}") == f"{text} [removed]"


def test_values_go_by_what_they_are_called() -> None:
    redactor = Redactor(Known())
    assert redactor.text('password=abc, setup key: \'x y\' "token": "t\\"u" bearer abcdefghij') == (
        'password=[removed], setup key: [removed] "token": [removed] [removed]'
    )
    assert "abcdefghij" not in redactor.text("Authorization: Bearer abcdefghij")
    assert redactor.document({"password": "x", "nonce": "1f", "sessionToken": "y", "tokens": 3}) == {
        "password": "[removed]",
        "nonce": "[removed]",
        "sessionToken": "[removed]",
        "tokens": 3,
    }
    assert "covey://" not in redactor.text("open covey://192.0.2.1:443/join/key.123")
    assert redactor.text("http://ada:pw@192.168.0.1/x") == "http://[removed]@192.168.0.1/x"
    assert "MIIE" not in redactor.text("-----BEGIN EC PRIVATE KEY-----\nMIIE\n")


def test_times_versions_and_words_stay() -> None:
    line = (
        "2026-11-25 20:14:05,123 INFO helper.engine.session: network map 7: 3 peers (1 new, 0 gone), kernel 6.1.0-13, ::1 fe80::1"
    )
    assert clean(line) == line
