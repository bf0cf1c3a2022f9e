"""Who are you? The page that every sign-in passes, and its end."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from server.identity.browser import Visitor, begin_session, end_session, keep, source_of, visitor_of
from server.identity.issuer import CONSENT, DEVICE_PAGE, SIGN_IN, SIGN_OUT, WELCOME
from server.identity.pages import FOCUS, NOTHING, OUTDATED, TOO_BUSY, TOO_OFTEN, error_box, fill, go, message, page
from server.identity.passwords import TooBusy
from server.identity.provider import Identity
from server.identity.rate_limits import SIGN_INS, SIGN_INS_OF_PERSON
from server.store import User
from server.store.people import MAX_EMAIL, with_password

# Where a sign-in may lead: to pages of ours, whatever somebody put into the link.
NEXT = re.compile(rf"(?:{CONSENT}|{DEVICE_PAGE}|{WELCOME}/connect)(?:\?[\x21-\x7e]*)?")
WRONG = "The e-mail address or the password is wrong."
BLOCKED = "You are blocked in this network. Ask whoever runs it."


def sign_in_page(identity: Identity) -> APIRouter:
    router = APIRouter()
    store = identity.store

    def shown(request: Request, visitor: Visitor, email: str, error: str = "", status: int = 200) -> HTMLResponse:
        is_device = request.query_params.get("next", "").startswith(DEVICE_PAGE)
        content = fill(
            "sign_in",
            lead=f"Use your e-mail address and password to connect {'another machine' if is_device else 'this computer'}.",
            error=error_box(error),
            form_token=visitor.form_token,
            email=email[:MAX_EMAIL],
            focus_email=NOTHING if email else FOCUS,
            focus_password=FOCUS if email else NOTHING,
            host=identity.host,
        )
        response = page("Sign in", content, status=status)
        keep(response, request, visitor)
        return response

    @router.get(SIGN_IN)
    async def show_sign_in(request: Request) -> Response:
        visitor = await visitor_of(request, store, identity.clock())
        return shown(request, visitor, request.query_params.get("email", ""))

    @router.post(SIGN_IN)
    async def check_sign_in(request: Request) -> Response:
        visitor = await visitor_of(request, store, identity.clock())
        form = await visitor.form(request)
        if form is None:
            return shown(request, visitor, "", OUTDATED, 403)
        email, source = form.get("email", "").strip().lower()[: MAX_EMAIL + 1], source_of(request)
        if not (identity.limits.allows(SIGN_INS, source) and identity.limits.allows(SIGN_INS_OF_PERSON, source, email)):
            return shown(request, visitor, email, TOO_OFTEN, 429)
        try:
            user = await prove(identity, email, form.get("password", ""))
        except TooBusy:
            return shown(request, visitor, email, TOO_BUSY, 503)
        if user is None:
            return shown(request, visitor, email, WRONG, 401)
        if user.is_blocked:
            return shown(request, visitor, email, BLOCKED, 403)
        identity.limits.forget(SIGN_INS_OF_PERSON, source, email)
        next_url = request.query_params.get("next", "")
        response = go(next_url if NEXT.fullmatch(next_url) else f"{WELCOME}/connect")
        await begin_session(response, request, store, user, identity.clock())
        return response

    @router.get(SIGN_OUT)
    async def show_sign_out(request: Request) -> Response:
        visitor = await visitor_of(request, store, identity.clock())
        if visitor.user is None:
            return message("Signed out", "Nobody is signed in here.", "You can close this page.")
        return page("Sign out?", fill("sign_out", person=visitor.user.email, form_token=visitor.form_token))

    @router.post(SIGN_OUT)
    async def sign_out(request: Request) -> Response:
        visitor = await visitor_of(request, store, identity.clock())
        if visitor.user is not None and await visitor.form(request) is None:
            return go(SIGN_OUT)
        response = message("Signed out", "You are signed out of this browser.", "Machines that are connected stay connected.")
        await end_session(response, request, store)
        return response

    return router


async def prove(identity: Identity, email: str, password: str) -> User | None:
    """The person whose password it is. It takes as long for an address that nobody has. Raises TooBusy."""
    found = await identity.store.read(lambda connection: with_password(connection, email))
    user, password_hash = (None, None) if found is None else found
    if not await identity.passwords.verify(password_hash, password) or user is None or password_hash is None:
        return None
    if identity.passwords.is_outdated(password_hash):
        await identity.store.people.renew_hash(user.id, password_hash, await identity.passwords.hash(password))
    return user
