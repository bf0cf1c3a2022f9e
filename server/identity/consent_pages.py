"""The authorization endpoint and the question that it leads to.

app -> /oauth2/auth -> (sign in) -> consent -> back to the app, with a code or an error
"""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from server.identity.authorization import (
    AppError,
    AuthorizationRequest,
    PageError,
    Step,
    denial,
    error_url,
    next_step,
    read_request,
    success_url,
    waits_at,
)
from server.identity.browser import FormRefused, Visitor, query_fields, read_fields, visitor_of
from server.identity.issuer import AUTHORIZATION, CLIENT_ID, CONSENT
from server.identity.pages import BACK_TO_APP, BACK_TO_APP_IPV6, OUTDATED, error_box, fill, go, message, page, sign_in_url
from server.identity.provider import Identity
from server.store import User, grants
from server.store.grants import AuthorizationCode

CODE_LIFETIME = 60.0  # seconds
MAX_QUERY = 8192  # bytes


def consent_pages(identity: Identity) -> APIRouter:
    router = APIRouter()
    store = identity.store

    async def begin(request: Request, fields: Sequence[tuple[str, str]]) -> Response:
        try:
            asked = read_request(fields)
            visitor = await visitor_of(request, store, identity.clock())
            step = next_step(asked, visitor.auth_time, identity.clock())
        except (PageError, AppError) as error:
            return _answer_error(error, identity.issuer)
        consent = f"{CONSENT}?{asked.query()}"
        return go(consent if step is Step.CONSENT else sign_in_url(consent, asked.login_hint))

    @router.get(AUTHORIZATION)
    async def authorize(request: Request) -> Response:
        if len(request.url.query) > MAX_QUERY:
            return _no_app("The link that brought you here is too long.")
        return await begin(request, query_fields(request))

    @router.post(AUTHORIZATION)
    async def authorize_by_form(request: Request) -> Response:
        try:
            return await begin(request, await read_fields(request))
        except FormRefused as error:
            return _no_app(f"What the app sent is damaged: {error}.")

    def shown(visitor: Visitor, user: User, asked: AuthorizationRequest, error: str = "") -> Response:
        content = fill(
            "consent",
            error=error_box(error),
            person=user.email,
            host=identity.host,
            waits_at=waits_at(asked.redirect_uri),
            form_token=visitor.form_token,
            other_account=sign_in_url(f"{CONSENT}?{asked.query()}"),
        )
        actions = BACK_TO_APP_IPV6 if "[" in asked.redirect_uri else BACK_TO_APP
        return page("Connect this computer?", content, status=403 if error else 200, actions=actions)

    @router.api_route(CONSENT, methods=["GET", "POST"])
    async def consent(request: Request) -> Response:
        try:
            asked = read_request(query_fields(request))
        except (PageError, AppError) as error:
            return _answer_error(error, identity.issuer)
        visitor = await visitor_of(request, store, identity.clock())
        if visitor.user is None or visitor.auth_time is None:
            return go(sign_in_url(f"{CONSENT}?{asked.query()}"))
        if request.method == "GET":
            return shown(visitor, visitor.user, asked)
        form = await visitor.form(request)
        if form is None:
            return shown(visitor, visitor.user, asked, OUTDATED)
        if form.get("decision") != "allow":
            return go(error_url(denial(asked), identity.issuer))
        return go(success_url(asked, await new_code(asked, visitor.user, visitor.auth_time), identity.issuer))

    async def new_code(asked: AuthorizationRequest, user: User, auth_time: float) -> str:
        now, code = identity.clock(), grants.new_secret()
        row = AuthorizationCode(
            code_hash=grants.hash_of(code),
            user_id=user.id,
            client_id=CLIENT_ID,
            redirect_uri=asked.redirect_uri,
            scope=asked.scope,
            nonce=asked.nonce,
            code_challenge=asked.code_challenge,
            auth_time=auth_time,
            expires_at=now + CODE_LIFETIME,
        )
        await store.write(lambda connection: grants.add_code(connection, row, now))
        return code

    return router


def _answer_error(error: PageError | AppError, issuer: str) -> Response:
    """To the app if its address is good, else to the person (RFC 6749, section 4.1.2.1)."""
    return go(error_url(error, issuer)) if isinstance(error, AppError) else _no_app(str(error))


def _no_app(sentence: str) -> Response:
    return message("This did not work", sentence, "Start again from the app.", status=400)
