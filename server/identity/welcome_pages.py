"""Behind one-time links: a person chooses a password, and learns how to connect machines."""

import segno
from fastapi import APIRouter, Request, Response

from protocol.errors import UsageError
from protocol.join_link import JoinLink
from server.identity.browser import Visitor, begin_session, keep, source_of, visitor_of
from server.identity.issuer import WELCOME
from server.identity.links import INVITE, OWNER, RESET, accept, find_good_link
from server.identity.pages import (
    FOCUS,
    NOTHING,
    OUTDATED,
    TOO_BUSY,
    TOO_OFTEN,
    Html,
    error_box,
    fill,
    go,
    message,
    page,
    sign_in_url,
)
from server.identity.passwords import TooBusy, check_password
from server.identity.provider import Identity
from server.identity.rate_limits import LINKS
from server.store import User
from server.store.errors import EmailTaken
from server.store.grants import OneTimeLink
from server.store.people import MAX_EMAIL, MAX_NAME, canonical_email

LEADS = {
    OWNER: "You will own this network: choose how you sign in.",
    INVITE: "You are invited to this network: choose how you sign in.",
    RESET: "Choose another password. The former one is not good any more then.",
}
MAX_TOKEN = 100  # characters; ours have 43


def welcome_pages(identity: Identity) -> APIRouter:
    router = APIRouter()
    store = identity.store

    @router.get(f"{WELCOME}/connect")
    async def connect(request: Request) -> Response:
        visitor = await visitor_of(request, store, identity.clock())
        if visitor.user is None:
            return go(sign_in_url(f"{WELCOME}/connect"))
        link = str(JoinLink(identity.location))
        content = fill("connect", person=visitor.user.email, join_link=link, qr=qr_code(link))
        return page(f"Welcome, {visitor.user.name}", content)

    async def find(token: str) -> tuple[OneTimeLink, User | None] | None:
        now = identity.clock()
        return await store.read(lambda connection: find_good_link(connection, token[:MAX_TOKEN], now))

    def shown(
        request: Request,
        visitor: Visitor,
        found: tuple[OneTimeLink, User | None],
        email: str = "",
        name: str = "",
        error: str = "",
        status: int = 200,
    ) -> Response:
        link, user = found
        if user is not None:
            person = fill("choose_reset", email=user.email)
        else:
            focus = FOCUS if not email else NOTHING
            person = fill("choose_person", email=email[:MAX_EMAIL], name=name[:MAX_NAME], focus_email=focus)
        content = fill(
            "choose",
            lead=LEADS[link.purpose],
            error=error_box(error),
            form_token=visitor.form_token,
            person=person,
            focus_password=FOCUS if email or user is not None else NOTHING,
            action="Set the password" if link.purpose == RESET else "Create my account",
        )
        response = page("New password" if link.purpose == RESET else "Welcome", content, status=status)
        keep(response, request, visitor)
        return response

    @router.get(WELCOME + "/{token}")
    async def choose(request: Request, token: str) -> Response:
        found = await find(token)
        return _spent() if found is None else shown(request, await visitor_of(request, store, identity.clock()), found)

    @router.post(WELCOME + "/{token}")
    async def take(request: Request, token: str) -> Response:
        visitor, found = await visitor_of(request, store, identity.clock()), await find(token)
        if found is None:
            return _spent()
        form = await visitor.form(request)
        if form is None:
            return shown(request, visitor, found, error=OUTDATED, status=403)
        email, name, password = form.get("email", ""), form.get("name", ""), form.get("password", "")

        def again(error: str, status: int) -> Response:
            return shown(request, visitor, found, email, name, error, status)

        if not identity.limits.allows(LINKS, source_of(request)):
            return again(TOO_OFTEN, 429)
        try:
            if found[1] is None:
                canonical_email(email)
            check_password(password)
            if password != form.get("again", ""):
                raise UsageError("the two passwords differ")
            password_hash = await identity.passwords.hash(password)
            now = identity.clock()
            user = await store.write(lambda connection: accept(connection, token, email, name, password_hash, now))
        except UsageError as error:
            return again(f"{str(error).capitalize()}.", 400)
        except EmailTaken:
            return again("Somebody here has this e-mail address already.", 409)
        except TooBusy:
            return again(TOO_BUSY, 503)
        if user is None:
            return _spent()
        response = go(f"{WELCOME}/connect")
        if not user.is_blocked:
            await begin_session(response, request, store, user, now)
        return response

    return router


def qr_code(link: str) -> Html:
    """A picture of the link, dark on whatever is behind it."""
    return Html(segno.make(link, error="m", micro=False).svg_inline(scale=4, border=1, omitsize=True))


def _spent() -> Response:
    hint = "Ask whoever runs this server for a new one. Have you chosen a password before? Then sign in from the Covey app."
    return message("This link is spent", "It was used already, or it is too old.", hint, status=404)
