"""Waits on this machine for the browser to come back (RFC 8252, section 7.3).

One answer counts. What is not the answer to our question gets a page that says so, and the wait goes on.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from app.login.page import HEADERS, page
from app.login.pinned_proxy import PinnedProxy
from app.login.pkce import ForeignCallback
from app.login.tokens import Tokens
from protocol.errors import CertificateMismatch, CoveyError, PortTaken
from protocol.join_link import bracketed

log = logging.getLogger(__name__)

ANY_PORT = ("http://127.0.0.1:0/callback",)
LAST_PAGE_TIMEOUT = 2.0  # seconds that the last page has to reach the browser
FOREIGN = "This is not the answer to the sign-in that Covey waits for. Go back to the tab that Covey opened, or start again."
LOCALHOST, IPV6 = "127.0.0.1", "::1"

Take = Callable[[Iterable[tuple[str, str]]], Awaitable[Tokens]]


class Loopback:
    """Attributes:
    origin: of all that is served here: `http://127.0.0.1:53121`.
    redirect_uri: where the provider sends the browser.
    result: the tokens, or what the sign-in failed with.
    """

    def __init__(self, redirect_uri: str, take: Take, proxy: PinnedProxy | None) -> None:
        parts = urlsplit(redirect_uri)
        self.redirect_uri, self.origin = redirect_uri, f"http://{parts.netloc}"
        self.result: asyncio.Future[Tokens] = asyncio.get_running_loop().create_future()
        self._host, self._path = parts.netloc.lower().removesuffix(":80"), parts.path or "/"
        self._take, self._proxy = take, proxy
        self._is_taken = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.host.lower().removesuffix(":80") != self._host:  # a name of somebody else that leads here
            return _page("Nothing is here", "Start again from Covey.", 403)
        if request.path == self._path and request.method == "GET":
            return await self._come_back(request)
        if self._proxy is not None and self._proxy.serves(request):
            try:
                return await self._proxy.forward(request, self.origin)
            except CoveyError as error:
                if isinstance(error, CertificateMismatch):
                    self._fail(error)
                return _page("This did not work", f"{error} {error.hint}", 502)
        return _page("Nothing is here", "Start again from Covey.", 404)

    async def _come_back(self, request: web.BaseRequest) -> web.Response:
        if self._is_taken:
            return _page("This was done already", "You can close this tab and go back to Covey.", 409)
        self._is_taken = True
        try:
            tokens = await self._take(request.query.items())
        except ForeignCallback:
            self._is_taken = False
            return _page("This did not work", FOREIGN, 400)
        except CoveyError as error:
            self._fail(error)
            return _page("You are not signed in", f"{error} You can close this tab and go back to Covey.", 400)
        if not self.result.done():
            self.result.set_result(tokens)
        who = f"as {tokens.email} " if tokens.email else ""
        return _page("You are signed in", f"Covey connects this computer {who}now. You can close this tab.", 200)

    def _fail(self, error: CoveyError) -> None:
        if not self.result.done():
            self.result.set_exception(error)


@asynccontextmanager
async def listen(redirect_urls: Sequence[str], take: Take, proxy: PinnedProxy | None) -> AsyncIterator[Loopback]:
    """Listen while the context is open, at the first of these addresses that is free; without any at a free port.

    `take` makes tokens of what the browser brings to the redirect URI; it raises ForeignCallback or CoveyError.
    Raises PortTaken.
    """
    listener, redirect_uri = bind(redirect_urls or ANY_PORT)
    loopback = Loopback(redirect_uri, take, proxy)
    server = web.Server(loopback.handle, access_log=None, logger=_http_log())
    runner = web.ServerRunner(server, shutdown_timeout=LAST_PAGE_TIMEOUT)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield loopback
    finally:
        await runner.cleanup()
        listener.close()
        if loopback.result.done() and not loopback.result.cancelled():
            loopback.result.exception()  # whoever waited may have gone


def bind(redirect_urls: Sequence[str]) -> tuple[socket.socket, str]:
    """A socket at the first of these addresses that is free, and that address; port 0 becomes the one that we got.

    Raises PortTaken.
    """
    taken = []
    for url in redirect_urls:
        parts = urlsplit(url)
        host, port = parts.hostname or LOCALHOST, parts.port if parts.port is not None else 80
        hosts = [LOCALHOST] if host == "localhost" else [host, IPV6] if port == 0 and host == LOCALHOST else [host]
        for address in hosts:
            try:
                listener = _bound(address, port)
            except OSError:
                continue
            if port:
                return listener, url
            name = host if host == "localhost" else bracketed(address)
            return listener, parts._replace(netloc=f"{name}:{listener.getsockname()[1]}").geturl()
        taken.append(str(port))
    raise PortTaken(
        f"Every port that the browser may come back to is taken here ({', '.join(taken)}).",
        "End the program that holds one of them, or sign in with a browser elsewhere: `covey login --no-browser`.",
    )


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _http_log() -> logging.Logger:
    """aiohttp's log for this server, without what anybody on this machine could write into the person's terminal."""
    logger = log.getChild("http")
    if not logger.filters:
        logger.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return logger


def _page(title: str, text: str, status: int) -> web.Response:
    return web.Response(text=page(title, text), content_type="text/html", status=status, headers=HEADERS)
