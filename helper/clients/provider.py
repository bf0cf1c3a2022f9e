"""Reads what a management server says about its OpenID provider. Pure.

The app opens these URLs in a browser and sends codes to them, so only what is safe for that is taken: https, or http to the
server itself where it has no TLS, or to this machine.
"""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from protocol.generated.management_pb2 import ProviderConfig
from protocol.join_link import ServerLocation
from protocol.sign_in import Provider

MAX_TEXT = 2048  # characters of a URL, an id, a scope
MAX_REDIRECT_URLS = 16
ASK_AGAIN = {0: "login", 1: "max_age"}  # by LoginFlag; any other: a session of the browser will do


def read_pkce(config: ProviderConfig, server: ServerLocation) -> Provider:
    """The authorization code flow (RFC 6749, RFC 7636). Raises ValueError with a sentence."""
    redirect_urls = tuple(url for url in config.RedirectURLs[:MAX_REDIRECT_URLS] if _leads_to_this_machine(url))
    if config.RedirectURLs and not redirect_urls:
        raise ValueError("no address to come back to that it names is on this machine")
    return Provider(
        client_id=_text("client id", config.ClientID, needed=True),
        token_endpoint=_endpoint("token endpoint", config.TokenEndpoint, server),
        client_secret=_text("client secret", config.ClientSecret),
        audience=_text("audience", config.Audience),
        scope=_text("scope", config.Scope) or "openid",
        use_id_token=config.UseIDToken,
        authorization_endpoint=_endpoint("authorization endpoint", config.AuthorizationEndpoint, server),
        redirect_urls=redirect_urls,
        ask_again="" if config.DisablePromptLogin else ASK_AGAIN.get(config.LoginFlag, ""),
    )


def read_device(config: ProviderConfig, server: ServerLocation) -> Provider:
    """The device flow (RFC 8628). Raises ValueError with a sentence."""
    return Provider(
        client_id=_text("client id", config.ClientID, needed=True),
        token_endpoint=_endpoint("token endpoint", config.TokenEndpoint, server),
        client_secret=_text("client secret", config.ClientSecret),
        audience=_text("audience", config.Audience),
        scope=_text("scope", config.Scope) or "openid",
        use_id_token=config.UseIDToken,
        device_auth_endpoint=_endpoint("device endpoint", config.DeviceAuthEndpoint, server),
    )


def _text(what: str, value: str, *, needed: bool = False) -> str:
    if len(value) > MAX_TEXT or not value.isprintable() or (needed and not value):
        raise ValueError(f"the {what} that it names can't be used")
    return value


def _endpoint(what: str, url: str, server: ServerLocation) -> str:
    parts = _split(what, url)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or "") and not _is_server(parts, server):
        raise ValueError(f"the {what} that it names has no TLS")
    if parts.scheme not in ("https", "http"):
        raise ValueError(f"the {what} that it names is no web address")
    return url


def _leads_to_this_machine(url: str) -> bool:
    try:
        parts = _split("address to come back to", url)
    except ValueError:
        return False
    return parts.scheme == "http" and _is_this_machine(parts.hostname or "")


def _split(what: str, url: str) -> SplitResult:
    _text(what, url, needed=True)
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises for one that is none
    except ValueError:
        raise ValueError(f"the {what} that it names is no URL") from None
    if not parts.hostname or parts.username is not None or "\\" in url or any(character.isspace() for character in url):
        raise ValueError(f"the {what} that it names is no URL")
    return parts


def _is_server(parts: SplitResult, server: ServerLocation) -> bool:
    return not server.tls and (parts.port or 80) == server.port and parts.hostname in [host.lower() for host in server.hosts]


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
