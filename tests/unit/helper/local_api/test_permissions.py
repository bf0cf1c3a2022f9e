import pytest

from helper.local_api.permissions import Caller, may_change, redacted, refusal
from tests.unit.helper.local_api.scripted import peer, relayed, status_document

OWN, GROUP = 990, 750


@pytest.mark.parametrize(
    ("caller", "group", "may"),
    [
        (Caller(0), GROUP, True),
        (Caller(OWN), GROUP, True),
        (Caller(1000, frozenset({100, GROUP})), GROUP, True),
        (Caller(1000, frozenset({100})), GROUP, False),
        (Caller(1000, frozenset({100})), None, False),
        (Caller(1000), 0, False),
    ],
)
def test_root_the_helpers_user_and_the_group_may_change_things(caller: Caller, group: int | None, may: bool) -> None:
    assert may_change(caller, OWN, group) is may


def test_a_stranger_sees_states_but_no_keys_and_no_endpoints_of_others() -> None:
    document = status_document(peer("bob", 2), relayed("carol", 3))
    seen = redacted(document)
    for secret in ("bobKEY", "carolKEY", "192.0.2.1", "198.51.100.7", "203.0.113.9:50001"):
        assert secret in str(document)
        assert secret not in str(seen)
    for one in ("bob.covey.internal", "100.92.0.3", "Relayed", "aliceKEY"):
        assert one in str(seen)
    assert seen.keys() == document.keys()
    assert seen["peers"]["details"][0].keys() == document["peers"]["details"][0].keys()


def test_redaction_leaves_the_document_itself_whole() -> None:
    document = status_document(peer("bob", 2))
    redacted(document)
    assert document == status_document(peer("bob", 2))


def test_a_refusal_says_what_to_do() -> None:
    error = refusal("disconnect this machine")
    assert str(error) == "You may not disconnect this machine."
    assert "sudo" in error.hint
    assert "usermod" in error.hint
