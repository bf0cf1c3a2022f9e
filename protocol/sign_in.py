"""How a person signs in: what the management server tells the helper, and the helper tells the app, of the OpenID provider.

The app does the whole sign-in by itself (RFC 6749 with PKCE of RFC 7636, or RFC 8628 where there is no browser); the helper
gets nothing but the token that it hands to the server, once.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self, TypedDict, cast

from protocol.join_link import JoinLink, ServerLocation

MAX_TOKEN = 16 * 1024  # characters; providers that list a person's groups write long ones


class ProviderJson(TypedDict):
    client_id: str
    client_secret: str
    audience: str
    scope: str
    use_id_token: bool
    token_endpoint: str
    authorization_endpoint: str
    device_auth_endpoint: str
    redirect_urls: list[str]
    ask_again: str


class SignInFlowJson(TypedDict):
    """Answer of `POST /v1/sign-in-flow`."""

    server: str
    pkce: ProviderJson | None
    device: ProviderJson | None


@dataclass(frozen=True, slots=True)
class Provider:
    """One flow at an OpenID provider, as `ProviderConfig` of management.proto has it.

    Attributes:
        client_secret: empty for public clients, which ours is.
        audience: what `aud` of the token must hold.
        scope: space separated.
        use_id_token: the server wants the ID token instead of the access token.
        redirect_urls: loopback addresses to come back to; port 0 stands for any free port (RFC 8252, section 7.3).
        ask_again: `login` (prompt=login), `max_age` (max_age=0) or empty: a session of the browser will do.
    """

    client_id: str
    token_endpoint: str
    client_secret: str = ""
    audience: str = ""
    scope: str = "openid"
    use_id_token: bool = False
    authorization_endpoint: str = ""
    device_auth_endpoint: str = ""
    redirect_urls: tuple[str, ...] = ()
    ask_again: str = ""

    def __repr__(self) -> str:
        return f"Provider({self.token_endpoint}, client_id={self.client_id!r})"

    def to_json(self) -> ProviderJson:
        return cast(ProviderJson, {**asdict(self), "redirect_urls": list(self.redirect_urls)})

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        if not isinstance(data, dict) or set(data) != set(ProviderJson.__annotations__):
            raise ValueError("this is no description of an OpenID provider")
        texts = {name: value for name, value in data.items() if name not in ("use_id_token", "redirect_urls")}
        redirect_urls = data["redirect_urls"]
        if (
            not all(isinstance(value, str) for value in texts.values())
            or not isinstance(data["use_id_token"], bool)
            or not isinstance(redirect_urls, list)
            or not all(isinstance(url, str) for url in redirect_urls)
        ):
            raise ValueError("this is no description of an OpenID provider")
        return cls(**{**data, "redirect_urls": tuple(redirect_urls)})


@dataclass(frozen=True, slots=True)
class SignInFlow:
    """Where to sign in for this server; at least one of the flows is there.

    Attributes:
        server: the Covey server, with the fingerprint that its certificate must have: the embedded provider is at the same
            place and is known by it.
    """

    server: ServerLocation
    pkce: Provider | None = None
    device: Provider | None = None

    def to_json(self) -> SignInFlowJson:
        return {
            "server": str(JoinLink(self.server)),
            "pkce": self.pkce.to_json() if self.pkce else None,
            "device": self.device.to_json() if self.device else None,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        match data:
            case {"server": str(link), "pkce": dict() | None as pkce, "device": dict() | None as device}:
                return cls(
                    JoinLink.parse(link).server,
                    Provider.from_json(pkce) if pkce is not None else None,
                    Provider.from_json(device) if device is not None else None,
                )
            case _:
                raise ValueError("this is no description of a sign-in")
