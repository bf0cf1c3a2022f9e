import itertools
import re
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.names import MAX_DNS_LABEL, candidate_names, label_of

ADDRESS = IPv4Address("100.92.3.4")


@pytest.mark.parametrize(
    ("hostname", "label"),
    [
        ("alice", "alice"),
        ("Alice.example.org", "alice"),
        ("MacBook Pro", "macbook-pro"),
        ("under_score", "under-score"),
        ("bücher", "xn--bcher-kva"),
        ("--edge--", "edge"),
        ("", "peer"),
        (".", "peer"),
        ("...", "peer"),
        ("___", "peer"),
        ("x" * 100, "x" * 59),
        ("ü" * 300, "peer"),
    ],
)
def test_a_host_name_becomes_a_label(hostname: str, label: str) -> None:
    assert label_of(hostname) == label


@given(st.text(max_size=300))
def test_every_candidate_is_a_dns_label_whatever_the_host_is_called(hostname: str) -> None:
    for name in itertools.islice(candidate_names(label_of(hostname), ADDRESS), 6):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= MAX_DNS_LABEL


def test_a_name_that_is_taken_gets_the_last_octets_of_the_address() -> None:
    names = list(itertools.islice(candidate_names("alice", ADDRESS), 6))
    assert names[:2] == ["alice", "alice-3-4"]
    assert len(set(names)) == len(names)


def test_nobody_is_called_localhost() -> None:
    assert next(candidate_names("localhost", ADDRESS)) == "localhost-3-4"
