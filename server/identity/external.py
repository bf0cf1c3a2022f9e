"""Another OpenID provider, found by its discovery document (OpenID Connect Discovery 1.0).

The document is read in the background from the start on and kept, so that a login never waits for it long; while the provider
does not answer, persons hear that, and machines that are in stay in.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, KeySet, OKPKey, RSAKey

from protocol.errors import SignInUnavailable
from protocol.sign_in import Provider
from server.identity.keys import Keys
from server.identity.urls import check_url
from server.identity.verify import Person, Verifier
from server.store import Store

TIMEOUT = 5.0  # seconds for a whole answer
PATIENCE = 1.5  # seconds that somebody waits for the first document; NetBird's clients give up after two
MAX_ANSWER = 1 << 20  # bytes
MAX_KEYS = 100
MIN_RSA = 2048  # bits (RFC 7518, section 3.3)
FIRST_RETRY, LAST_RETRY = 1.0, 60.0  # seconds between attempts, doubled each time; at once when somebody asks
REFRESH = 3600.0  # seconds that a document is kept
DISCOVERY = "/.well-known/openid-configuration"
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}  # unpacking has no bound

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExternalSettings:
    """How this server and its apps are registered there.

    Attributes:
        issuer: exactly as the provider writes it.
        audience: what tokens must name; the client id for ID tokens.
        use_id_token: False: apps hand in the access token, which must be a JWT.
        redirect_urls, ask_again: see `protocol.sign_in.Provider`.
        device_flow: False: sign-in by a code is not offered, though the provider has it.
        may_be_plain: http is accepted for any host, not only for this machine.
    """

    issuer: str
    client_id: str
    audience: str
    client_secret: str = field(default="", repr=False)
    scope: str = "openid profile email offline_access"
    use_id_token: bool = True
    redirect_urls: tuple[str, ...] = ()
    ask_again: str = "login"
    device_flow: bool = True
    may_be_plain: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What we need of a discovery document; `device` is empty where it has none."""

    authorization: str
    token: str
    keys: str
    device: str


def read_document(document: Any, settings: ExternalSettings) -> Endpoints:
    """Read a discovery document. Raises ValueError with a sentence."""
    if not isinstance(document, dict):
        raise ValueError("its discovery document is no JSON object")
    if (issuer := document.get("issuer")) != settings.issuer:
        raise ValueError(f"it calls itself {str(issuer)[:200]!r}, and the issuer must be given exactly so")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint")
    authorization, token, keys, device = (document.get(name) or "" for name in names)
    for name, url in zip(names[:3], (authorization, token, keys), strict=True):
        if not url:
            raise ValueError(f"its discovery document has no {name}")
    for url in filter(None, (authorization, token, keys, device)):
        check_url(url, may_be_plain=settings.may_be_plain)
    return Endpoints(authorization, token, keys, device)


def read_keys(document: Any) -> KeySet:
    """Read a JWK Set (RFC 7517, section 5): the public keys that verify signatures; others are skipped. Raises ValueError."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("its keys are no JWK Set")
    found: list[RSAKey | ECKey | OKPKey] = []
    for entry in entries[:MAX_KEYS]:
        with contextlib.suppress(JoseError, ValueError, TypeError, KeyError, AttributeError), warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of short keys, which we do not take
            key = JWKRegistry.import_key(entry)
            is_short = isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA
            if isinstance(key, RSAKey | ECKey | OKPKey) and not is_short and entry.get("use", "sig") == "sig":
                found.append(key)
    if not found:
        raise ValueError("it has no key that verifies signatures")
    return KeySet([*found])


class ExternalProvider:
    """Enter it to have its document looked for."""

    def __init__(
        self,
        store: Store,
        settings: ExternalSettings,
        *,
        clock: Callable[[], float] = time.time,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`clock` is unix time, in seconds; `transport` replaces the network in tests."""
        self.issuer, self._settings, self._transport = settings.issuer, settings, transport
        self._endpoints: Endpoints | None = None
        self._trouble = "it has not answered yet"
        self._arrived, self._wanted = asyncio.Event(), asyncio.Event()
        self._verifier = Verifier(settings.issuer, settings.audience, Keys(self._fetch_keys), store.people.spend_jwt, clock=clock)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            tls = ssl.create_default_context()
            client = httpx2.AsyncClient(verify=tls, timeout=TIMEOUT, transport=self._transport)
            self._client = await stack.enter_async_context(client)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(tasks.create_task(self._discover()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def provider(self) -> Provider:
        endpoints, settings = await self._known_endpoints(), self._settings
        return Provider(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            audience=settings.audience,
            scope=settings.scope,
            use_id_token=settings.use_id_token,
            authorization_endpoint=endpoints.authorization,
            token_endpoint=endpoints.token,
            device_auth_endpoint=endpoints.device if settings.device_flow else "",
            redirect_urls=settings.redirect_urls,
            ask_again=settings.ask_again,
        )

    async def verify(self, token: str) -> Person:
        return await self._verifier.verify(token)

    async def _known_endpoints(self) -> Endpoints:
        if self._endpoints is None:
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._arrived.wait()
        if self._endpoints is None:
            raise self._unavailable()
        return self._endpoints

    def _unavailable(self) -> SignInUnavailable:
        return SignInUnavailable(f"the sign-in provider {self.issuer} is of no use now: {self._trouble}")

    async def _discover(self) -> None:
        """Read the document, for ever: again soon while there is none, and now and then once there is one."""
        loop, url = asyncio.get_running_loop(), self.issuer.rstrip("/") + DISCOVERY
        retry = FIRST_RETRY
        while True:
            began = loop.time()
            try:
                endpoints = read_document(await self._get(url), self._settings)
            except Exception as error:
                if not isinstance(error, ValueError):
                    log.exception("reading %s failed", url)
                self._note_trouble(str(error))
                pause, retry = retry, min(2 * retry, LAST_RETRY)
            else:
                if endpoints != self._endpoints:
                    log.info("persons sign in at %s", self.issuer)
                self._endpoints, self._trouble, pause, retry = endpoints, "", REFRESH, FIRST_RETRY
                self._arrived.set()
            self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            await asyncio.sleep(max(0.0, began + FIRST_RETRY - loop.time()))

    def _note_trouble(self, sentence: str) -> None:
        level = logging.WARNING if sentence != self._trouble else logging.DEBUG
        log.log(level, "the sign-in provider %s is of no use now: %s", self.issuer, sentence)
        self._trouble = sentence

    async def _fetch_keys(self) -> KeySet:
        endpoints = await self._known_endpoints()
        try:
            return read_keys(await self._get(endpoints.keys))
        except ValueError as error:
            self._note_trouble(str(error))
            raise self._unavailable() from None

    async def _get(self, url: str) -> Any:
        """The JSON at a URL. Raises ValueError with a sentence for whatever goes wrong."""
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream("GET", url, headers=HEADERS) as answer,
            ):
                if answer.status_code != 200:
                    raise ValueError(f"it answers with status {answer.status_code} at {url}")
                content = bytearray()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise ValueError(f"it sends more than {MAX_ANSWER} bytes from {url}")
        except (TimeoutError, httpx2.TimeoutException):
            raise ValueError(f"it did not answer in {TIMEOUT:.0f} s at {url}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ValueError(f"it cannot be reached at {url}: {str(error) or type(error).__name__}") from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ValueError(f"it sends no JSON from {url}") from None
