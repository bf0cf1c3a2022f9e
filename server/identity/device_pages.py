"""Where a person types the code that a machine without a browser shows (RFC 8628, section 3.3)."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from server.identity import devices
from server.identity.browser import visitor_of
from server.identity.issuer import DEVICE_PAGE
from server.identity.pages import OUTDATED, TOO_OFTEN, error_box, fill, go, message, page, sign_in_url
from server.identity.provider import Identity
from server.identity.rate_limits import USER_CODES
from server.store import User

UNKNOWN = "No machine waits with this code. Codes are good for ten minutes."


def device_pages(identity: Identity) -> APIRouter:
    router = APIRouter()
    store = identity.store

    def shown(user: User, typed: str, error: str = "", status: int = 200) -> Response:
        other_account = sign_in_url(DEVICE_PAGE)
        content = fill("device", error=error_box(error), user_code=typed[:20], person=user.email, other_account=other_account)
        return page("Connect another machine", content, status=status)

    @router.get(DEVICE_PAGE)
    async def show(request: Request) -> Response:
        """Ask for the code, or, if it is there, whether it is the one that the machine shows."""
        now, typed = identity.clock(), request.query_params.get("user_code", "")
        visitor, code = await visitor_of(request, store, now), devices.canonical_user_code(typed)
        this_page = f"{DEVICE_PAGE}?{urlencode({'user_code': code})}" if code else DEVICE_PAGE
        if visitor.user is None:
            return go(sign_in_url(this_page))
        if not code:
            return shown(visitor.user, "")
        if not identity.limits.allows(USER_CODES, visitor.user.id):
            return shown(visitor.user, typed, TOO_OFTEN, 429)
        if await store.read(lambda connection: devices.find_waiting(connection, code, now)) is None:
            return shown(visitor.user, typed, UNKNOWN, 404)
        content = fill(
            "device_confirm",
            user_code=devices.shown_user_code(code),
            host=identity.host,
            person=visitor.user.email,
            form_token=visitor.form_token,
            other_account=sign_in_url(this_page),
        )
        return page("Connect that machine?", content)

    @router.post(DEVICE_PAGE)
    async def decide(request: Request) -> Response:
        now = identity.clock()
        visitor = await visitor_of(request, store, now)
        if visitor.user is None or visitor.auth_time is None:
            return go(sign_in_url(DEVICE_PAGE))
        form = await visitor.form(request)
        if form is None:
            return shown(visitor.user, "", OUTDATED, 403)
        user_id, auth_time, typed = visitor.user.id, visitor.auth_time, form.get("user_code", "")
        if not identity.limits.allows(USER_CODES, user_id):
            return shown(visitor.user, typed, TOO_OFTEN, 429)
        code, allowed = devices.canonical_user_code(typed), form.get("decision") == "allow"
        if not await store.write(lambda connection: devices.decide(connection, code, user_id, auth_time, now, allowed=allowed)):
            return shown(visitor.user, typed, UNKNOWN, 404)
        identity.limits.forget(USER_CODES, user_id)
        if allowed:
            return message("Done", "The machine is being connected.", "You can close this page and go back to it.")
        return message("Denied", "That machine stays out.", "You can close this page.")

    return router
