"""Getting a token for the server: silently where something is kept, else with the person."""

import asyncio
import logging

from app.helper_client import HelperClient
from app.local_call import DEFAULT_SOCKET
from app.login.prompt import OnPrompt
from app.login.sign_in import SignIn, refresh
from app.login.store import TokenStore, new_record, user_store
from app.login.tokens import Tokens, person_in
from protocol.errors import CoveyError, SignInRefused
from protocol.join_link import JoinLink
from protocol.sign_in import Provider, SignInFlow

log = logging.getLogger(__name__)


async def token_for(
    flow: SignInFlow,
    account: str,
    *,
    on_prompt: OnPrompt,
    browser: bool,
    anew: bool,
    email: str = "",
    store: TokenStore | None = None,
    sign_in: SignIn | None = None,
) -> Tokens:
    """Sign in and keep what renews it. Raises as `SignIn.run` does.

    Args:
        account: whose tokens they are on this machine, from `account_of`.
        anew: the person asked for it: what is kept from an earlier time is not used.
        email: who it must be to go silently; empty: whoever signed in last.
    """
    store = user_store() if store is None else store
    if not anew:
        try:
            if (found := await silently(flow, account, email=email, store=store)) is not None:
                return found
        except CoveyError as error:  # the way with the person will say what is wrong, or go well
            log.info("no silent sign-in: %s", error)
    tokens = await (SignIn() if sign_in is None else sign_in).run(flow, on_prompt=on_prompt, browser=browser)
    await _keep(flow, account, tokens, store)
    return tokens


async def silently(flow: SignInFlow, account: str, *, email: str = "", store: TokenStore | None = None) -> Tokens | None:
    """New tokens by what is kept; None: the person has to sign in. Raises as `refresh` does where later it may go well."""
    # to its end even if whoever asked has gone: the provider has changed the refresh token by then
    return await asyncio.shield(_silently(flow, account, email, user_store() if store is None else store))


async def forget(account: str, *, store: TokenStore | None = None) -> None:
    """Forget what is kept of this account; the provider is not told, for it need not offer that."""
    try:
        await (user_store() if store is None else store).forget(account)
    except OSError as error:
        log.warning("what is kept of the sign-in can't be deleted: %s", error)


def account_of(client: HelperClient, profile: str) -> str:
    """The name that the tokens of a helper's profile are kept under."""
    socket = str(client.socket)
    return profile if socket == DEFAULT_SOCKET else f"{profile} at {socket}"


async def _silently(flow: SignInFlow, account: str, email: str, store: TokenStore) -> Tokens | None:
    try:
        async with store.locked():
            kept = await store.load(account)
            provider = _provider(flow)
            place = (_server(flow), provider.token_endpoint, provider.client_id)
            if kept is None or (kept.server, kept.token_endpoint, kept.client_id) != place:
                return None  # another server may name the same provider, to get a token that is good elsewhere
            if email and email.casefold() != kept.email.casefold():
                return None
            try:
                tokens = await refresh(flow, kept.refresh_token)
            except SignInRefused as error:
                log.info("the provider wants the person again: %s", error)
                await store.forget(account)
                return None
            await _keep(flow, account, tokens, store)
            return tokens
    except (OSError, TimeoutError) as error:
        log.warning("what is kept of the sign-in can't be used: %s", error or "another program holds it")
        return None


async def _keep(flow: SignInFlow, account: str, tokens: Tokens, store: TokenStore) -> None:
    if not tokens.refresh_token:
        return
    provider = _provider(flow)
    record = new_record(tokens.refresh_token, provider.token_endpoint, provider.client_id, person_in(tokens.jwt), _server(flow))
    try:
        await store.save(account, record)
    except OSError as error:
        log.warning("the sign-in can't be kept, so the next one needs you again: %s", error)


def _server(flow: SignInFlow) -> str:
    return str(JoinLink(flow.server))


def _provider(flow: SignInFlow) -> Provider:
    """Where tokens are renewed."""
    provider = flow.pkce or flow.device
    if provider is None:
        raise SignInRefused("The server offers no way to sign in that this app knows.")
    return provider
