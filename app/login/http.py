"""Asks an OpenID provider, bounded in time and size: the server's own by the pin of its certificate, others as the web does."""

import contextlib
import ipaddress
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import aiohttp
import yarl
from aiohttp import hdrs
from aiohttp.helpers import get_env_proxy_for_url

from app.login.answer import Answer
from protocol.errors import CertificateMismatch, CertificateUntrusted, ClockOff, SignInUnavailable
from protocol.join_link import ServerLocation, bracketed

ANSWER_TIMEOUT = 10.0  # seconds, from the first packet to the last byte
CONNECT_TIMEOUT = 4.0  # seconds for each address of a server that has several
KEEP_ALIVE = 3.0  # seconds; shorter than servers do, so that no code is sent into a connection that is being closed
MAX_ANSWER = 256 * 1024  # bytes
TRY_LATER = "Try again in a minute; if this machine needs a proxy to reach the web, set HTTPS_PROXY."
STRAIGHT: dict[str, Any] = {"proxy": None, "proxy_headers": None}
NOTHING_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
NO_PROVIDER = "Whoever runs the server should look at how its OpenID provider is set up."


class ProviderHttp:
    """A context that holds the connections to one provider.

    Args:
        server: what is at its place has its certificate.
        url: the provider's token endpoint.
    """

    def __init__(self, server: ServerLocation, url: str) -> None:
        self._server = server
        self._is_server = is_at(server, url)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT if len(self._server.hosts) > 1 else None),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def post(self, url: str, form: Mapping[str, str]) -> Answer:
        """Post a form and read the JSON that comes back.

        Raises SignInUnavailable (nobody there, or no provider), CertificateMismatch, CertificateUntrusted, ClockOff.
        """
        async with self.ask("POST", url, data=dict(form), headers={"Accept": "application/json"}) as response:
            data = await read_bounded(response.content)
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = None
        return Answer(response.status, body if isinstance(body, dict) else {})

    async def reach(self, url: str) -> None:
        """See whether the provider answers at all. Raises as `post` does."""
        async with self.ask("HEAD", url):
            pass

    @contextlib.asynccontextmanager
    async def ask(self, method: str, url: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; a server with several addresses is tried at each, and each way, until one takes the connection."""
        ways = self._ways(url)
        with translated(url):
            for place, way in ways:
                try:
                    to = yarl.URL(place, encoded=True)
                    response = await self._session.request(
                        method, to, ssl=self._trust(place), allow_redirects=False, **way, **options
                    )
                    break
                except NOTHING_SENT as error:
                    if (place, way) == ways[-1] or isinstance(error, aiohttp.ClientSSLError):
                        raise
            async with response:
                yield response

    def _trust(self, url: str) -> aiohttp.Fingerprint | bool:
        pin = self._server.fingerprint
        return aiohttp.Fingerprint(pin) if pin is not None and is_at(self._server, url) else True

    def _ways(self, url: str) -> list[tuple[str, dict[str, Any]]]:
        """Each place through the proxy that the environment names for it; the server, where that does not lead to it, straight.

        The helper may know another proxy, or none: what it reaches, the environment of a person need not. A server without TLS
        is asked straight alone, for a proxy would read along, and its refusals look like the server's answers.
        """
        if self._is_server and not self._server.tls:
            return [(place, STRAIGHT) for place in self._places(url)]
        proxied = [(place, _proxy(yarl.URL(place, encoded=True))) for place in self._places(url)]
        straight = [(place, STRAIGHT) for place, way in proxied if self._is_server and way["proxy"] is not None]
        return proxied + straight

    def _places(self, url: str) -> list[str]:
        if not is_at(self._server, url):
            return [url]
        parts = urlsplit(url)
        first = _host(parts)
        hosts = [first, *(host for host in self._server.hosts if _same(host) != first)]
        port = f":{parts.port}" if parts.port is not None else ""
        return [parts._replace(netloc=bracketed(host) + port).geturl() for host in hosts]


def _proxy(url: yarl.URL) -> dict[str, Any]:
    """What the environment names. `trust_env` would send what ~/.netrc says to the provider as well."""
    with contextlib.suppress(LookupError, ValueError):
        if not _is_this_machine(url.host or ""):
            proxy, auth = get_env_proxy_for_url(url)
            return {"proxy": proxy, "proxy_headers": {hdrs.PROXY_AUTHORIZATION: auth.encode()} if auth is not None else None}
    return STRAIGHT


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_at(server: ServerLocation, url: str) -> bool:
    """Whether the URL leads to the Covey server itself."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False
    has_scheme = parts.scheme == ("https" if server.tls else "http")
    return has_scheme and port == server.port and _host(parts) in map(_same, server.hosts)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def read_bounded(stream: aiohttp.StreamReader, longest: int = MAX_ANSWER) -> bytes:
    """The whole of it. Raises SignInUnavailable when it is longer than that."""
    data = bytearray()
    async for piece in stream.iter_any():
        data += piece
        if len(data) > longest:
            raise SignInUnavailable("The sign-in provider's answer is too large.", NO_PROVIDER)
    return bytes(data)


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what goes wrong on the way to this URL into sentences."""
    where = urlsplit(url).netloc
    try:
        yield
    except aiohttp.ServerFingerprintMismatch:
        sentence = f"The sign-in page at {where} has another certificate than the one that the join link names."
        raise CertificateMismatch(sentence) from None
    except aiohttp.ClientConnectorCertificateError as error:
        reason = getattr(error.certificate_error, "verify_message", "") or "it can't be checked"
        if "expired" in reason or "not yet valid" in reason:
            raise ClockOff(
                f"The certificate of {where} is not valid now: {reason}. This machine's clock says {_now()}.",
                "Set this machine's clock if that is wrong; otherwise the provider has to renew its certificate.",
            ) from None
        raise CertificateUntrusted(f"The certificate of the sign-in provider {where} is not trusted: {reason}.") from None
    except TimeoutError:
        raise SignInUnavailable(f"The sign-in provider {where} does not answer.", TRY_LATER) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = getattr(getattr(error, "os_error", error), "strerror", None) or "the connection broke"
        raise SignInUnavailable(f"The sign-in provider {where} can't be reached: {reason}.", TRY_LATER) from None


def _host(parts: SplitResult) -> str:
    return _same(parts.hostname or "")


def _same(host: str) -> str:
    """A host, so that two that are the same read the same."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
