"""What a browser gets: a page that says what this server is, and its health."""

import base64
import hashlib
import importlib.metadata
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint

PAGE = (Path(__file__).parent / "landing.html").read_text("utf-8")
_STYLE = PAGE.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def version() -> str:
    """The installed version of Covey."""
    try:
        return importlib.metadata.version("covey")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def make_app() -> FastAPI:
    """The web application; it has no state yet."""
    app = FastAPI(title="Covey", version=version(), docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def add_security_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(SECURITY_HEADERS)
        return response

    @app.exception_handler(HTTPException)
    async def say_it_plainly(request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def landing_page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Cache-Control": "max-age=300"})

    @app.api_route("/api/health", methods=["GET", "HEAD"])
    async def health(response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "no-store"
        return {"status": "ok", "version": app.version}

    return app
