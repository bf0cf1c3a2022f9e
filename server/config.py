"""What `covey-server up` is told: flags, and a TOML file with the same names. Flags win.

    public-address = ["203.0.113.10", "2001:db8::10"]
    listen = "0.0.0.0:443"
    range = "100.92.0.0/16"
    connections-per-source = 512    # more if all clients come through one proxy

    [turn]
    relay-ports = "49152-65535"

    [sign-in]
    issuer = "https://id.example.org/realms/main"    # another OpenID provider instead of our own; see docs/sign-in.md
    client-id = "covey"
    session-lifetime = "24h"

With `[turn] uris` and `secret` the helpers use another TURN server, such as coturn with `use-auth-secret` and the same
`static-auth-secret`; ours then does not run.
"""

import ipaddress
import math
import re
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from protocol.addresses import Address, IPAddress, IPNetwork
from protocol.errors import UsageError
from server.durations import parse_duration
from server.front_door.sources import MAX_PER_SOURCE
from server.identity.urls import REDIRECT_URLS, check_redirect_url, check_url

DEFAULT_LISTEN, DEFAULT_LISTEN_TURN = "0.0.0.0:443", "0.0.0.0:3478"
DEFAULT_DOMAIN = "covey.internal"
DEFAULT_SCOPES = "openid profile email offline_access"
SHORTEST_SESSION = 60  # seconds
DEFAULT_RELAY_PORTS = (49152, 65535)  # the dynamic ports (RFC 6335, section 6; RFC 8656, section 7.2)


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    return Address.parse(str(value))


def _ip(value: object) -> object:
    return ipaddress.ip_address(value) if isinstance(value, str) else value


def _domain(value: object) -> object:
    labels = str(value).lower().rstrip(".").split(".")
    if len(labels) < 2 or not all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels):
        raise ValueError("a domain is like covey.internal: two or more labels of letters, digits and hyphens")
    return ".".join(labels)


def _ports(value: object) -> tuple[int, int]:
    """Read `FIRST-LAST`, 1024 to 65535."""
    first, dash, last = (str(value) if not isinstance(value, tuple) else "{}-{}".format(*value)).partition("-")
    if not dash or not first.strip().isdecimal() or not last.strip().isdecimal():
        raise ValueError("a range of ports is FIRST-LAST")
    low, high = int(first), int(last)
    if not 1024 <= low <= high <= 65535:
        raise ValueError("relay ports lie between 1024 and 65535, the smaller one first")
    return low, high


def _turn_uri(value: object) -> str:
    """Check `stun:HOST:PORT` or `turn(s):HOST:PORT[?transport=udp|tcp]` (RFC 7064, RFC 7065)."""
    uri = str(value)
    scheme, _, rest = uri.partition(":")
    place, _, query = rest.partition("?")
    host, _, port = place.rpartition(":")
    is_whole = host and not place.startswith("//") and port.isdecimal() and 0 < int(port) < 65536
    if scheme not in ("stun", "turn", "turns") or not is_whole or query not in ("", "transport=udp", "transport=tcp"):
        raise ValueError(f"{uri!r} is not like turn:HOST:PORT?transport=udp")
    return uri


def _url(value: object) -> str:
    check_url(value, may_be_plain=True)
    return str(value)


def _redirect_url(value: object) -> str:
    check_redirect_url(value)
    return str(value)


def _scopes(value: object) -> str:
    scopes = value.split() if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    if "openid" not in scopes:
        raise ValueError("scopes hold openid at least")
    return " ".join(map(str, scopes))


def _lifetime(value: object) -> float:
    """Read `24h` or `never`, which is infinite."""
    text = str(value).strip()
    try:
        seconds = math.inf if text == "never" else parse_duration(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if seconds < SHORTEST_SESSION:
        raise ValueError(f"a session lasts {SHORTEST_SESSION} s at least")
    return seconds


ListenAddress = Annotated[Address, BeforeValidator(_address)]
Strict = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)


class TurnOptions(BaseModel):
    """The `[turn]` table. `uris` are those of another TURN server; empty: ours runs.

    `other_port` is the second UDP port, by which helpers learn what NAT they are behind; None: the next free one, 0: none.
    """

    model_config = Strict

    secret: SecretStr | None = None
    uris: tuple[Annotated[str, BeforeValidator(_turn_uri)], ...] = ()
    realm: str = "covey"
    lifetime: int = Field(default=43200, ge=600, le=7 * 86400)  # seconds that credentials are good for
    other_port: int | None = Field(default=None, ge=0, le=65535)
    relay_ports: Annotated[tuple[int, int], BeforeValidator(_ports)] = DEFAULT_RELAY_PORTS
    user_quota: int = Field(default=10, ge=1)
    total_quota: int = Field(default=10_000, ge=1)
    allowed_peers: tuple[IPNetwork, ...] = ()

    @model_validator(mode="after")
    def _another_server_needs_its_secret(self) -> "TurnOptions":
        if self.uris and self.secret is None:
            raise ValueError("uris of another TURN server need the secret that it shares with us")
        if self.secret is not None and len(self.secret.get_secret_value()) < 16:
            raise ValueError("the secret needs at least 16 characters")
        return self


class SignInOptions(BaseModel):
    """The `[sign-in]` table. Without an issuer our own provider runs, and only `session_lifetime` and `ask_again` matter.

    Attributes:
        session_lifetime: seconds that a sign-in lets a person's machine be in; None: as it was.
    """

    model_config = Strict

    issuer: Annotated[str, BeforeValidator(_url)] | None = None
    client_id: str = Field(default="", max_length=255)
    client_secret: SecretStr | None = None
    audience: str = Field(default="", max_length=255)
    scopes: Annotated[str, BeforeValidator(_scopes)] = DEFAULT_SCOPES
    use_id_token: bool = True
    redirect_urls: Annotated[tuple[Annotated[str, BeforeValidator(_redirect_url)], ...], Field(min_length=1)] = REDIRECT_URLS
    ask_again: Literal["login", "max-age", "no"] = "login"
    device_flow: bool = True
    session_lifetime: Annotated[float, BeforeValidator(_lifetime)] | None = None

    @model_validator(mode="after")
    def _issuer_and_client_come_together(self) -> "SignInOptions":
        if (self.issuer is None) != (not self.client_id):
            raise ValueError("issuer and client-id come together")
        if not self.use_id_token and not self.audience:
            raise ValueError("access tokens are for an audience: name it, or use ID tokens")
        return self


class ServerConfig(BaseModel):
    model_config = Strict

    data_dir: Path
    public_address: tuple[Annotated[IPAddress, BeforeValidator(_ip)], ...] = ()
    listen: ListenAddress = Address.parse(DEFAULT_LISTEN)
    listen_turn: ListenAddress = Address.parse(DEFAULT_LISTEN_TURN)
    plaintext: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None
    public_name: tuple[Annotated[str, BeforeValidator(_domain)], ...] = ()
    range: ipaddress.IPv4Network | None = None
    connections_per_source: int = Field(default=MAX_PER_SOURCE, ge=16)
    domain: Annotated[str, Field(max_length=190), BeforeValidator(_domain)] = DEFAULT_DOMAIN
    turn: TurnOptions = TurnOptions()
    sign_in: SignInOptions = SignInOptions()

    @model_validator(mode="after")
    def _certificate_and_key_come_together(self) -> "ServerConfig":
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate-key come together")
        if self.certificate is not None and self.plaintext:
            raise ValueError("with plaintext there is no certificate")
        if self.public_name and self.certificate is None:
            raise ValueError("a public name is one that a certificate holds: give its --certificate, too")
        if any(ip.is_unspecified or ip.is_multicast for ip in self.public_address):
            raise ValueError("a public address is one that helpers can reach, such as 203.0.113.10")
        if self.sign_in.issuer is not None:
            check_url(self.sign_in.issuer, may_be_plain=self.plaintext)
        return self


def read_config(file: Path | None, flags: dict[str, Any]) -> ServerConfig:
    """Put the file and the flags together; a flag that is None or empty was not given. Raises UsageError with the place."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"{file} is not TOML: {error}") from None
    given = {name: value for name, value in flags.items() if value not in (None, [], False)}
    sign_in = {name.removeprefix("oidc-"): given.pop(name) for name in ("oidc-issuer", "oidc-client-id") if name in given}
    values |= given
    if sign_in:
        table = values.get("sign-in", {})
        values["sign-in"] = (table if isinstance(table, dict) else {}) | sign_in
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(_sentence(error), "See `covey-server up --help`.") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"][:2] if isinstance(part, str) and "[" not in part)
    match first["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"there is no option {place}"
        case _:
            reason = first["msg"].removeprefix("Value error, ")
            return f"{place}: {reason}" if place else reason


def addresses_of_default_route() -> tuple[IPAddress, ...]:
    """The addresses that this machine would reach the internet from, IPv4 first; nothing is sent. May be empty."""
    found: list[IPAddress] = []
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):  # documentation addresses
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((somewhere, 9))
                ip = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
        except OSError:
            continue
        if not (ip.is_loopback or ip.is_link_local or ip.is_unspecified):
            found.append(ip)
    return tuple(found)
