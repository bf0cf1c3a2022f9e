import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.find_peer import PeerUnknown, again, find_peer
from tests.unit.helper.local_api.scripted import peer, status_document

BOB, CAROL = peer("bob", 2), peer("carol", 3)
BOB_AGAIN = peer("bob", 4, fqdn="bob.other.internal", publicKey="bobby".ljust(43, "B") + "=")
STATUS = status_document(BOB, CAROL)


@pytest.mark.parametrize(
    "wanted", ["bob", "BOB", " bob ", "bob.covey.internal", "bob.covey.internal.", "100.92.0.2", "bobKEY", BOB["publicKey"]]
)
def test_a_peer_is_found_by_name_address_or_key(wanted: str) -> None:
    assert find_peer(STATUS, wanted) == BOB


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("bop", "Did you mean bob?"),
        ("carl.covey.internal", "Did you mean carol?"),
        ("zzzzzz", "`covey peers` lists them."),
        ("", "`covey peers` lists them."),
        ("bobK\x1b[2J", "`covey peers` lists them."),
        ("100.92.0.99", "`covey peers` lists them."),
    ],
)
def test_an_unknown_peer_is_told_with_names_that_are_near(wanted: str, hint: str) -> None:
    with pytest.raises(PeerUnknown, match="No peer is called") as caught:
        find_peer(STATUS, wanted)
    assert caught.value.hint == hint or hint.startswith("`covey")
    assert str(caught.value).isprintable()


def test_one_s_own_name_is_said_to_be_that() -> None:
    with pytest.raises(PeerUnknown, match="this machine itself"):
        find_peer(STATUS, "alice")


def test_a_name_of_several_is_not_guessed() -> None:
    both = status_document(BOB, BOB_AGAIN)
    with pytest.raises(PeerUnknown, match="Several peers are called 'bob'") as caught:
        find_peer(both, "bob")
    assert "bob.covey.internal (100.92.0.2)" in caught.value.hint
    assert find_peer(both, "bob.other.internal") == BOB_AGAIN


@given(st.text(max_size=30))
def test_anything_typed_is_a_peer_or_unknown(wanted: str) -> None:
    try:
        assert find_peer(STATUS, wanted) in (BOB, CAROL)
    except PeerUnknown as error:
        assert str(error).isprintable()  # noqa: PT017  both ways out are fine


def test_a_machine_that_is_not_connected_has_no_peers() -> None:
    with pytest.raises(PeerUnknown, match="not connected"):
        find_peer(status_document(state="Idle"), "bob")


def test_a_peer_is_found_again_in_a_newer_status() -> None:
    changed = peer("bob", 2, connectionType="Relayed")
    assert again(status_document(changed), BOB) == changed
    assert again(status_document(), BOB) == BOB
