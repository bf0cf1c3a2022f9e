import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CoveyError, NoPermission, UsageError, error_from_wire
from protocol.local_api import MAX_TEXT, UpRequest, error_body

TEXTS = st.none() | st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=80)
REQUESTS = st.builds(UpRequest, TEXTS, st.none(), TEXTS, TEXTS, TEXTS, st.none() | st.floats(0.1, 3600, allow_nan=False))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["timeout", "hostname", "setup_key"]), inner),
    max_leaves=8,
)


@given(REQUESTS)
def test_a_request_survives_its_json(request_: UpRequest) -> None:
    assert UpRequest.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_an_empty_request_changes_nothing() -> None:
    assert UpRequest.from_json({}) == UpRequest()
    assert UpRequest.from_json({"hostname": None, "timeout": None}) == UpRequest()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"hostname": 5}, "hostname"),
        ({"hostname": ""}, "hostname"),
        ({"setup_key": ["a"]}, "setup_key"),
        ({"join_link": "x" * (MAX_TEXT + 1)}, "join_link"),
        ({"management_url": "https://a\nb"}, "management_url"),
        ({"hostname": "\ud800"}, "hostname"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"timeout": math.inf}, "timeout"),
        ({"timeout": 10**400}, "timeout"),
        ({"tiemout": 5}, "tiemout"),
    ],
)
def test_a_wrong_field_is_named(data: object, field: str) -> None:
    with pytest.raises(UsageError, match=field):
        UpRequest.from_json(data)


def test_an_address_and_a_link_together_are_refused() -> None:
    with pytest.raises(UsageError, match="not both"):
        UpRequest.from_json({"management_url": "https://a", "join_link": "covey://b/join"})


@given(JSON)
def test_whatever_json_comes_is_a_request_or_a_sentence(data: object) -> None:
    read = request_or_error(data)
    if isinstance(read, UsageError):
        assert 0 < len(str(read)) < 200
    else:
        assert isinstance(data, dict)
        assert read.to_json() == {key: value for key, value in data.items() if value is not None}


def request_or_error(data: object) -> UpRequest | UsageError:
    try:
        return UpRequest.from_json(data)
    except UsageError as error:
        return error


def test_a_request_shows_no_secret_in_logs() -> None:
    request = UpRequest(join_link="covey://a/join/key.SECRET", setup_key="SECRET")
    assert "SECRET" not in f"{request!r} {request}"


def test_an_error_crosses_the_border_whole() -> None:
    error = NoPermission("You may not do this.", "Ask.")
    body = error_body(error)
    there = error_from_wire(body["code"], body["sentence"], body["hint"])
    assert (type(there), str(there), there.hint) == (NoPermission, "You may not do this.", "Ask.")
    assert type(error_from_wire("not-known-yet", "Something new.", "")) is CoveyError
