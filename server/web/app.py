"""What a browser gets: a page that says what this server is, its health, and the pages of a sign-in."""

import importlib.metadata
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint

from server.identity.consent_pages import consent_pages
from server.identity.device_pages import device_pages
from server.identity.endpoints import endpoints
from server.identity.issuer import PREFIX, WELCOME
from server.identity.pages import POLICY
from server.identity.provider import Identity
from server.identity.sign_in_page import sign_in_page
from server.identity.welcome_pages import welcome_pages

FOLDER = Path(__file__).parent
PAGE = (FOLDER / "landing.html").read_text("utf-8")
STYLE = (FOLDER / "static" / "covey.css").read_text("utf-8")
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY.format(actions="'none'"),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NOT_HERE = "People do not sign in here: this server uses another OpenID provider.\n"


def version() -> str:
    """The installed version of Covey."""
    try:
        return importlib.metadata.version("covey")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def make_app(identity: Identity | None = None) -> FastAPI:
    """The web application. `identity` is None where people sign in with another provider."""
    app = FastAPI(title="Covey", version=version(), docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def add_security_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)  # pages with forms have a policy of their own
        return response

    @app.exception_handler(HTTPException)
    async def say_it_plainly(request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def landing_page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Cache-Control": "max-age=300"})

    @app.get("/static/covey.css")
    async def style() -> Response:
        return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    @app.api_route("/api/health", methods=["GET", "HEAD"])
    async def health(response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"status": "ok", "version": app.version}

    if identity is None:

        @app.api_route(PREFIX + "/{rest:path}", methods=["GET", "POST"])
        @app.api_route(WELCOME + "/{rest:path}", methods=["GET", "POST"])
        async def not_here(rest: str) -> Response:
            return PlainTextResponse(NOT_HERE, 404)

    else:
        for routes in (endpoints, consent_pages, sign_in_page, device_pages, welcome_pages):
            app.include_router(routes(identity))
    return app
