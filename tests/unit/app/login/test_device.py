from typing import Any

import pytest

from app.login.answer import Answer
from app.login.device import MAX_FAILURES, MAX_INTERVAL, Polling, read_start
from protocol.errors import CoveyError, SignInGivenUp, SignInRefused, SignInUnavailable

START: dict[str, Any] = {
    "device_code": "d",
    "user_code": "BCDF-GHJK",
    "verification_uri": "https://id.example.org/device",
    "expires_in": 600,
}
TOKENS = Answer(200, {"id_token": "t"})


def refused(code: str, status: int = 400) -> Answer:
    return Answer(status, {"error": code})


def test_what_is_left_out_has_the_defaults_of_the_rfc() -> None:
    code = read_start(Answer(200, START))
    assert (code.url, code.complete_url, code.interval, code.expires_in) == (START["verification_uri"],) * 2 + (5.0, 600.0)
    assert code.prompt("").kind == "device"
    assert "'d'" not in repr(code)


@pytest.mark.parametrize(
    ("changes", "interval", "lifetime"),
    [
        ({"interval": 7, "expires_in": "300"}, 7, 300),
        ({"interval": -1, "expires_in": 1e300}, 5, 1800),
        ({"interval": True, "expires_in": None}, 5, 1800),
        ({"interval": 10**9 - 1, "expires_in": 99999}, MAX_INTERVAL, 1800),
    ],
)
def test_times_are_kept_within_reason(changes: dict[str, Any], interval: float, lifetime: float) -> None:
    code = read_start(Answer(200, START | changes))
    assert (code.interval, code.expires_in) == (interval, lifetime)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, {}), SignInUnavailable),
        (Answer(500, {}), SignInUnavailable),
        (Answer(200, START | {"device_code": 5}), SignInUnavailable),
        (Answer(200, START | {"user_code": "a\x1b[2Jb"}), SignInUnavailable),
        (Answer(200, START | {"verification_uri": "javascript:alert(1)"}), SignInUnavailable),
        (Answer(200, START | {"verification_uri": "https://[x"}), SignInUnavailable),
        (Answer(200, START | {"verification_uri": "file:///etc/passwd"}), SignInUnavailable),
        (refused("invalid_client", 401), SignInRefused),
        (refused("slow_down", 429), SignInUnavailable),
    ],
)
def test_a_start_that_can_not_be_used_is_told(answer: Answer, kind: type[CoveyError]) -> None:
    with pytest.raises(kind):
        read_start(answer)


def test_polling_goes_on_until_the_tokens_come() -> None:
    polling = Polling(5.0)
    for answer, interval in [(refused("authorization_pending"), 5), (refused("slow_down"), 10), (refused("slow_down", 429), 15)]:
        after = polling.after(answer)
        assert after is not None
        polling = after
        assert polling.interval == interval
    assert polling.after(TOKENS) is None


@pytest.mark.parametrize(
    ("code", "kind"), [("access_denied", SignInGivenUp), ("expired_token", SignInGivenUp), ("invalid_grant", SignInRefused)]
)
def test_polling_ends_with_a_definite_no(code: str, kind: type[CoveyError]) -> None:
    with pytest.raises(kind):
        Polling(5.0).after(refused(code))


@pytest.mark.parametrize("answer", [Answer(500, {}), Answer(200, {}), refused("server_error", 500), Answer(502, {"x": 1})])
def test_a_provider_with_trouble_is_asked_again_but_not_for_ever(answer: Answer) -> None:
    polling: Polling | None = Polling(5.0)
    for _ in range(MAX_FAILURES):
        assert polling is not None
        polling = polling.after(answer)
    assert polling is not None
    assert polling.after(refused("authorization_pending")) == Polling(5.0)
    with pytest.raises(SignInUnavailable):
        polling.after(answer)
