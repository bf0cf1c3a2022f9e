import pytest

from protocol.join_link import ServerLocation
from protocol.sign_in import Provider, SignInFlow

SERVER = ServerLocation(("203.0.113.10", "2001:db8::10"), 443, bytes(range(32)))
PKCE = Provider(
    "covey",
    "https://203.0.113.10/oauth2/token",
    audience="covey",
    scope="openid email offline_access",
    authorization_endpoint="https://203.0.113.10/oauth2/auth",
    redirect_urls=("http://127.0.0.1:0/callback",),
)


def test_a_flow_crosses_the_border_unchanged() -> None:
    flow = SignInFlow(SERVER, PKCE, None)
    assert SignInFlow.from_json(flow.to_json()) == flow


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        {},
        {"server": "covey://h:1/join", "pkce": 3, "device": None},
        {"server": "https://h", "pkce": None, "device": None},
        {"server": "covey://h:1/join", "pkce": {**PKCE.to_json(), "audience": 7}, "device": None},
        {"server": "covey://h:1/join", "pkce": {**PKCE.to_json(), "redirect_urls": [7]}, "device": None},
        {"server": "covey://h:1/join", "pkce": {"client_id": "covey"}, "device": None},
    ],
)
def test_what_is_no_flow_is_refused(damage: object) -> None:
    with pytest.raises(ValueError, match=r"no description|join link"):
        SignInFlow.from_json(damage)
