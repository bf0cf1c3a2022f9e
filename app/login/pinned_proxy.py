"""Shows the pages of a server whose certificate only we know to a browser, which would warn of it.

browser --http, this machine only--> here --TLS, checked against the pin--> server

The server's cookies stay here: cookies of 127.0.0.1 go to every port, so to whatever else runs on this machine. The browser
gets one of ours, which is worth nothing once the sign-in is over.
"""

import secrets
from http.cookies import CookieError, SimpleCookie

from aiohttp import web

from app.login.http import ProviderHttp, origin_of, read_bounded
from app.login.page import HEADERS, page

SERVED = ("/oauth2/", "/welcome/", "/static/")
METHODS = ("GET", "HEAD", "POST")
MAX_BODY = 64 * 1024  # bytes of a form
MAX_PAGE = 1024 * 1024  # bytes of an answer
MAX_BROWSERS, MAX_COOKIES = 16, 16
ASKED = ("Accept", "Accept-Language", "Content-Type", "User-Agent")  # headers that are handed on to the server
ANSWERED = (
    "Content-Type",
    "Content-Language",
    "Content-Security-Policy",
    "Cache-Control",
    "Referrer-Policy",
    "Retry-After",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Cross-Origin-Opener-Policy",
)


class PinnedProxy:
    """Args:
    url: a page of the server, as the browser would have it; its origin is what is served.
    """

    def __init__(self, http: ProviderHttp, url: str) -> None:
        self._http, self._origin = http, origin_of(url)
        self._jars: dict[str, dict[str, str]] = {}  # the server's cookies, by our own

    def address(self, url: str, origin: str) -> str:
        """What the browser opens in place of a page of the server; other places stay as they are."""
        return origin + url.removeprefix(self._origin) if url.startswith(f"{self._origin}/") else url

    def serves(self, request: web.BaseRequest) -> bool:
        is_plain = ".." not in request.path and "\\" not in request.path
        is_own = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")  # no page of somebody else asks
        return request.method in METHODS and request.raw_path.startswith(SERVED) and is_plain and is_own

    async def forward(self, request: web.BaseRequest, origin: str) -> web.Response:
        """Ask the server in the browser's place. `origin` is ours. Raises as `ProviderHttp.post` does."""
        body = await _body(request)
        if body is None:
            text = page("This did not work", "What the browser sent is too large.")
            return web.Response(text=text, content_type="text/html", status=413, headers=HEADERS)
        cookie = f"covey_{request.host.rpartition(':')[2]}"
        browser, jar = self._jar(request.cookies.get(cookie, ""))
        headers = {name: request.headers[name] for name in ASKED if name in request.headers} | {"Accept-Encoding": "identity"}
        if request.headers.get("Origin") == origin:
            headers["Origin"] = self._origin
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        async with self._http.ask(request.method, self._origin + request.raw_path, headers=headers, data=body or None) as answer:
            data = await read_bounded(answer.content, MAX_PAGE)
            response = web.Response(body=data, status=answer.status)
            for name in ANSWERED:
                if name in answer.headers:
                    response.headers[name] = answer.headers[name]
            if location := answer.headers.get("Location", ""):
                response.headers["Location"] = self.address(location, origin)
            _keep(jar, answer.headers.getall("Set-Cookie", []))
        response.set_cookie(cookie, browser, path="/", httponly=True, samesite="Lax")
        return response

    def _jar(self, browser: str) -> tuple[str, dict[str, str]]:
        if browser not in self._jars:
            browser = secrets.token_urlsafe(24)
            self._jars[browser] = {}
            while len(self._jars) > MAX_BROWSERS:
                del self._jars[next(iter(self._jars))]
        return browser, self._jars[browser]


async def _body(request: web.BaseRequest) -> bytes | None:
    """None: longer than forms are."""
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > MAX_BODY:
            return None
    return bytes(data)


def _keep(jar: dict[str, str], set_cookies: list[str]) -> None:
    """Take in the cookies that the server sets."""
    for text in set_cookies:
        cookie = SimpleCookie()
        try:
            cookie.load(text)
        except CookieError:
            continue
        for name, morsel in cookie.items():
            if not morsel.value or morsel["max-age"] == "0":
                jar.pop(name, None)
            elif name in jar or len(jar) < MAX_COOKIES:
                jar[name] = morsel.coded_value
