from hypothesis import given
from hypothesis import strategies as st

from protocol.generated.management_pb2 import PeerSystemMeta
from server.management.meta import MAX_HOSTNAME, MAX_TEXT, clean, meta_of


@given(st.text(max_size=2000))
def test_whatever_a_machine_says_is_one_printable_line_of_bounded_length(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= MAX_TEXT
    assert cleaned.isprintable()


def test_every_field_is_cut_to_length() -> None:
    long = "x" * 10_000
    meta = meta_of(PeerSystemMeta(hostname=long, goOS=long, OS=long, netbirdVersion=long, coveyVersion=long))
    assert len(meta.hostname) == MAX_HOSTNAME
    assert {len(text) for text in (meta.go_os, meta.os, meta.netbird_version, meta.covey_version)} == {MAX_TEXT}


def test_an_old_client_gives_its_system_version_as_core() -> None:
    assert meta_of(PeerSystemMeta(core="12")).os_version == "12"
