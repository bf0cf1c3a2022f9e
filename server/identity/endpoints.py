"""What apps ask without a browser: discovery, keys, tokens, device codes."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from server.identity import devices, token_endpoint
from server.identity.browser import FormRefused, read_fields, source_of
from server.identity.issuer import DEVICE_AUTHORIZATION, DISCOVERY, KEYS, TOKEN, discovery_document
from server.identity.provider import Identity
from server.identity.rate_limits import DEVICE_CODES, TOKENS
from server.identity.signing_keys import jwks
from server.identity.token_endpoint import TokenAnswer, check_form

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749, section 5.1
SHORTLY = {"Cache-Control": "max-age=300"}


def endpoints(identity: Identity) -> APIRouter:
    router = APIRouter()

    @router.get(DISCOVERY)
    async def discovery() -> JSONResponse:
        return JSONResponse(discovery_document(identity.issuer), headers=SHORTLY)

    @router.get(KEYS)
    async def keys() -> JSONResponse:
        return JSONResponse(jwks(await identity.keys()), headers=SHORTLY)

    @router.post(TOKEN)
    async def token(request: Request) -> JSONResponse:
        if not identity.limits.allows(TOKENS, source_of(request)):
            return _too_often()
        try:
            form = check_form(await read_fields(request))
        except (FormRefused, ValueError) as error:
            return _invalid(str(error))
        key, now = (await identity.keys())[0], identity.clock()
        work = identity.store.write
        return _json(await work(lambda connection: token_endpoint.answer(connection, form, identity.issuer, key, now)))

    @router.post(DEVICE_AUTHORIZATION)
    async def device_code(request: Request) -> JSONResponse:
        if not identity.limits.allows(DEVICE_CODES, source_of(request)):
            return _too_often()
        try:
            form = check_form(await read_fields(request))
        except (FormRefused, ValueError) as error:
            return _invalid(str(error))
        now = identity.clock()
        return _json(await identity.store.write(lambda connection: devices.start(connection, form, identity.issuer, now)))

    return router


def _json(answer: TokenAnswer) -> JSONResponse:
    return JSONResponse(answer.body, answer.status, NO_STORE)


def _invalid(sentence: str) -> JSONResponse:
    body: dict[str, Any] = {"error": "invalid_request", "error_description": sentence}
    return JSONResponse(body, 400, NO_STORE)


def _too_often() -> JSONResponse:
    """In the word that clients of RFC 8628 know."""
    body = {"error": "slow_down", "error_description": "too many requests from this address"}
    return JSONResponse(body, 429, {**NO_STORE, "Retry-After": "60"})
