"""Our pages: HTML files with {places}, which are filled with escaped text and never with anything else."""

import html
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, RedirectResponse

from server.identity.issuer import SIGN_IN

FOLDER = Path(__file__).parent / "pages"
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {actions}"
# A browser applies form-action to where an answer sends it, too; an IPv6 address cannot be written there (CSP 3, section 2.3.1).
OWN_FORMS, BACK_TO_APP, BACK_TO_APP_IPV6 = "'self'", "'self' http://127.0.0.1:*", "'self' http:"


OUTDATED = "This page was open for too long, or your browser keeps no cookies. Please try once more."
TOO_OFTEN = "Too many attempts. Wait five minutes, then try again."
TOO_BUSY = "Too many people sign in at once. Try again in a minute."


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING: Final = Html("")
FOCUS: Final = Html(" autofocus")


def fill(name: str, /, **values: str) -> Html:
    """The page or part of one from `pages/NAME.html`; what is no Html is escaped."""
    escaped = {place: value if isinstance(value, Html) else html.escape(value) for place, value in values.items()}
    return Html(_template(name).format_map(escaped))


def error_box(sentence: str) -> Html:
    return Html(f'<p class="error" role="alert">{html.escape(sentence)}</p>') if sentence else NOTHING


def page(title: str, content: Html, *, status: int = 200, actions: str = OWN_FORMS) -> HTMLResponse:
    """A whole page. `actions`: where its forms may lead."""
    headers = {"Content-Security-Policy": POLICY.format(actions=actions), "Cache-Control": "no-store"}
    return HTMLResponse(fill("frame", title=title, content=content), status, headers)


def message(title: str, sentence: str, hint: str | Html, *, status: int = 200) -> HTMLResponse:
    """A page that says one thing."""
    return page(title, fill("message", sentence=sentence, hint=hint), status=status)


def go(url: str) -> RedirectResponse:
    """303: the browser comes with GET, whatever it sent."""
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})


def sign_in_url(next_url: str, email: str = "") -> str:
    return f"{SIGN_IN}?{urlencode({'next': next_url} | ({'email': email} if email else {}))}"


def _template(name: str) -> str:
    if name not in _TEMPLATES:
        _TEMPLATES[name] = (FOLDER / f"{name}.html").read_text("utf-8")
    return _TEMPLATES[name]


_TEMPLATES: dict[str, str] = {}
