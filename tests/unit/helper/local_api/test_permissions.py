import pytest

from helper.local_api.permissions import Action, Caller, Standing, is_trusted, may, redacted, refusal
from protocol.errors import UserBlocked
from protocol.local_api import error_body
from tests.unit.helper.local_api.scripted import peer, relayed, status_document

OWN, GROUP = 990, 750


@pytest.mark.parametrize(
    ("caller", "group", "trusted"),
    [
        (Caller(0), GROUP, True),
        (Caller(OWN), GROUP, True),
        (Caller(1000, frozenset({100, GROUP})), GROUP, True),
        (Caller(1000, frozenset({100})), GROUP, False),
        (Caller(1000, frozenset({100})), None, False),
        (Caller(1000), 0, False),
    ],
)
def test_root_the_helper_s_user_and_the_group_may_do_everything(caller: Caller, group: int | None, trusted: bool) -> None:
    assert is_trusted(caller, OWN, group) is trusted


ALICE, BOB, CAROL = 1000, 1001, 1002
EVERYTHING = set(Action)
OF_THE_MACHINE = {Action.DISCONNECT, Action.ADD, Action.PREFER}


@pytest.mark.parametrize(
    ("caller", "owner", "at_screen", "allowed"),
    [
        # the caller                        whose profile  at the screen  what he may
        (Standing(None, is_trusted=True), None, None, EVERYTHING),  # root, or the helper's own user
        (Standing(None, is_trusted=True), ALICE, BOB, EVERYTHING),
        (Standing(CAROL, is_trusted=True), ALICE, BOB, EVERYTHING),  # of the group
        (Standing(ALICE), ALICE, None, EVERYTHING),  # over SSH
        (Standing(ALICE), ALICE, BOB, EVERYTHING),
        (Standing(ALICE), None, ALICE, EVERYTHING),  # a machine that nobody signed in
        (Standing(BOB), ALICE, BOB, OF_THE_MACHINE),
        (Standing(BOB), ALICE, ALICE, set()),
        (Standing(BOB), ALICE, None, set()),
        (Standing(BOB), None, ALICE, set()),
        (Standing(BOB), None, None, set()),
        (Standing(None), None, None, set()),  # one that has left
        (Standing(None), ALICE, None, set()),
    ],
)
def test_who_may_do_what(caller: Standing, owner: int | None, at_screen: int | None, allowed: set[Action]) -> None:
    assert {action for action in Action if may(action, caller, owner, at_screen)} == allowed


def test_a_stranger_sees_states_but_no_keys_no_endpoints_and_no_e_mail_of_others() -> None:
    document = {**status_document(peer("bob", 2), relayed("carol", 3)), "email": "alice@example.org"}
    document["error"] = error_body(UserBlocked("alice@example.org was blocked"))  # type: ignore[typeddict-item]
    seen = redacted(document)  # type: ignore[arg-type]
    for secret in ("alice@example.org", "bobKEY", "carolKEY", "192.0.2.1", "198.51.100.7", "203.0.113.9:50001"):
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


@pytest.mark.parametrize("action", Action)
def test_a_refusal_says_what_to_do(action: Action) -> None:
    error = refusal(action)
    assert str(error) == f"You may not {action.value}."
    assert error.hint.startswith("Run it as root (`sudo covey")
    assert "usermod -aG covey" in error.hint


@pytest.mark.parametrize("action", Action)
def test_a_refusal_at_the_screen_says_whose_it_is_and_how_to_have_one_s_own(action: Action) -> None:
    error = refusal(action, belongs_to_another=True)
    assert "belongs to another user" in str(error)
    assert "covey profile add" in error.hint
