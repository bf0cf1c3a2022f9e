import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import CoveyError, error_from_wire

OURS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CoveyError)]


def test_every_kind_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in OURS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", OURS)
def test_every_kind_crosses_a_border_whole(kind: type[CoveyError]) -> None:
    arrived = error_from_wire(kind.code, "It failed.", "Do this.")
    assert type(arrived) is kind
    assert (str(arrived), arrived.hint) == ("It failed.", "Do this.")


@pytest.mark.parametrize("kind", OURS)
def test_every_kind_says_what_to_do_next(kind: type[CoveyError]) -> None:
    hint = kind("It failed.").hint
    assert hint.endswith((".", "?"))
    assert "\n" not in hint
    assert kind("It failed.", "Do this.").hint == "Do this."


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert {kind.code: kind.exit_code for kind in OURS if kind.exit_code != 1} == {
        "usage": 2,
        "helper-not-running": 3,
        "login-needed": 4,
        "login-refused": 4,
        "session-expired": 4,
        "sign-in-given-up": 4,
        "sign-in-refused": 4,
        "sign-in-not-offered": 4,
        "user-blocked": 4,
        "setup-key-malformed": 4,
        "setup-key-unknown": 4,
        "setup-key-expired": 4,
        "setup-key-revoked": 4,
        "setup-key-used-up": 4,
        "timed-out": 5,
    }


@given(st.text(), st.text(), st.text())
def test_whatever_comes_over_a_border_becomes_an_error(code: str, sentence: str, hint: str) -> None:
    error = error_from_wire(code, sentence, hint)
    assert str(error) == sentence
    assert error.hint


def test_an_unknown_code_is_a_plain_error() -> None:
    assert type(error_from_wire("from-the-future", "It failed.", "")) is CoveyError
