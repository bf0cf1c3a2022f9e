from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.words import ago, path_text, plain, sentence, short_name, size, until
from tests.unit.helper.local_api.scripted import peer, relayed

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@given(st.text())
def test_nothing_that_a_terminal_would_obey_is_left(text: str) -> None:
    assert plain(text).isprintable()
    assert sentence(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it failed", "It failed."),
        ("It failed.", "It failed."),
        ("is it there?", "Is it there?"),
        (" two\n  lines\x1b[2J ", "Two lines?[2J."),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_and_ends(text: str, shown: str) -> None:
    assert sentence(text) == shown


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(0), "0 s ago"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(hours=2, minutes=59), "2 h ago"),
        (timedelta(days=40), "40 d ago"),
        (timedelta(seconds=-5), "0 s ago"),  # their clock is ahead of ours
    ],
)
def test_an_age_is_in_the_largest_unit_that_fits(age: timedelta, words: str) -> None:
    assert ago((NOW - age).isoformat(), NOW) == words
    assert ago((NOW - age).isoformat().replace("+00:00", "Z"), NOW) == words


@pytest.mark.parametrize("moment", ["", "0001-01-01T00:00:00Z", "yesterday", "2026-13-01T00:00:00Z"])
def test_never_and_nonsense_are_a_dash(moment: str) -> None:
    assert ago(moment, NOW) == until(moment, NOW) == "-"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=40), "in 40 d"),
        (timedelta(hours=3, minutes=59), "in 3 h"),
        (timedelta(seconds=119), "in 1 min"),
        (timedelta(seconds=59), "in 59 s"),
        (timedelta(0), "now"),
        (timedelta(days=-1), "now"),
    ],
)
def test_what_is_to_come_is_in_the_largest_unit_that_fits(left: timedelta, words: str) -> None:
    assert until((NOW + left).isoformat(), NOW) == words


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10 * 1024**2, "10.0 MiB"), (3 * 1024**3, "3.0 GiB"), (2**41, "2.0 TiB")],
)
def test_a_size_is_in_binary_units(count: int, text: str) -> None:
    assert size(count) == text


def test_a_peer_is_called_by_whatever_is_known() -> None:
    assert short_name(peer("bob")) == "bob"
    assert short_name(peer(fqdn="", publicKey="abcdefghijk")) == "abcdefgh"
    assert short_name(peer(fqdn="", publicKey="", ip="100.92.0.9")) == "100.92.0.9"


def test_a_path_is_a_few_words() -> None:
    assert path_text(peer()) == "direct (srflx → host)"
    assert path_text(peer(iceCandidateType={"local": "", "remote": ""})) == "direct"
    assert path_text(relayed("carol", 3)) == "relayed via 203.0.113.9:50001"
    assert path_text(peer(connectionType="Relayed")) == "relayed"  # to whoever may see no addresses
    assert path_text(peer(connectionType="-")) == "-"
