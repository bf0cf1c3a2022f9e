import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CoveyError, SetupKeyExpired, UsageError, error_from_wire
from protocol.local_api import MAX_TEXT, UpRequest, error_body

TEXTS = st.none() | st.from_regex(r"[!-~]{1,40}", fullmatch=True)
REQUESTS = st.builds(
    UpRequest,
    management_url=st.none(),
    join_link=TEXTS,
    setup_key=TEXTS,
    hostname=TEXTS,
    timeout=st.none() | st.integers(1, 3600) | st.floats(0.001, 3600),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["management_url", "join_link", "setup_key", "hostname", "timeout"]


@given(REQUESTS)
def test_a_request_survives_the_wire(request: UpRequest) -> None:
    assert UpRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_an_empty_request_leaves_everything_as_it_is() -> None:
    assert UpRequest.from_json({}) == UpRequest()
    assert UpRequest().to_json() == {}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "The request is not a JSON object."),
        ([], "The request is not a JSON object."),
        ("up", "The request is not a JSON object."),
        ({"setupkey": "x"}, "The request has an unknown field: 'setupkey'."),
        ({"x" * 9999: 1}, f"The request has an unknown field: {'x' * 40!r}."),
        ({"setup_key": 7}, "The field setup_key is not a text"),
        ({"setup_key": ""}, "The field setup_key is not a text"),
        ({"hostname": "x" * (MAX_TEXT + 1)}, "The field hostname is not a text"),
        ({"hostname": "two\nlines"}, "The field hostname has characters that can't be printed."),
        ({"management_url": "https://h\x1b[2J"}, "The field management_url has characters that can't be printed."),
        ({"join_link": ["covey://"]}, "The field join_link is not a text"),
        ({"timeout": "5"}, "The field timeout is not a number"),
        ({"timeout": True}, "The field timeout is not a number"),
        ({"timeout": 0}, "The field timeout is not a number"),
        ({"timeout": -1}, "The field timeout is not a number"),
        ({"timeout": 3601}, "The field timeout is not a number"),
        ({"timeout": float("nan")}, "The field timeout is not a number"),
        ({"timeout": float("inf")}, "The field timeout is not a number"),
        ({"management_url": "https://h", "join_link": "covey://h/join"}, "Give either the server's address or a join link"),
    ],
)
def test_what_is_wrong_is_named(data: object, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        UpRequest.from_json(data)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_a_request_or_a_usage_error(data: Any) -> None:
    try:
        request = UpRequest.from_json(data)
    except UsageError as error:
        assert str(error).isprintable()  # noqa: PT017  both ways out are fine
        return
    assert UpRequest.from_json(request.to_json()) == request


def test_a_request_shows_no_secrets() -> None:
    request = UpRequest("https://h", setup_key="SECRET", join_link="covey://h/join/key.SECRET")
    assert "SECRET" not in repr(request) + str(request)


def test_an_error_survives_the_wire() -> None:
    for error in (SetupKeyExpired("the key has expired"), CoveyError("It failed.", "Do this.")):
        again = error_from_wire(**error_body(error))
        assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)
