"""One sign-in, from flow to tokens.

a browser here, and the provider lets it come back   -> authorization code with PKCE
no browser, or it can't be opened, or no free port   -> device code, if the provider has that
no device code either                                -> the page's address, for the person to open here
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from app.login import device, pkce
from app.login.browser import open_browser
from app.login.http import ProviderHttp, is_at
from app.login.loopback import Loopback, listen
from app.login.pinned_proxy import PinnedProxy
from app.login.prompt import OnPrompt, Prompt
from app.login.tokens import Tokens, read_tokens
from protocol.errors import PortTaken, SignInGivenUp, SignInNotOffered, SignInUnavailable
from protocol.join_link import ServerLocation
from protocol.sign_in import Provider, SignInFlow

BROWSER_TIMEOUT = 300.0  # seconds that a person has in a browser of this machine
BY_HAND = "No browser could be opened here: open this address in one on this machine."


class BrowserMissing(Exception):
    """None could be opened, and there is another way."""


class SignIn:
    """Args:
    opens: opens a page in a browser of this machine; False when that can't be done.
    sleep: how to wait between two polls.
    patience: seconds that a person has in the browser.
    """

    def __init__(
        self,
        *,
        opens: Callable[[str], Awaitable[bool]] = open_browser,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        patience: float = BROWSER_TIMEOUT,
    ) -> None:
        self._opens, self._sleep, self._patience = opens, sleep, patience

    async def run(self, flow: SignInFlow, *, on_prompt: OnPrompt, browser: bool) -> Tokens:
        """Walk through one of the flows; cancelling gives up and leaves nothing behind.

        Args:
            on_prompt: told what the person has to do; a second time when another way is gone.
            browser: whether one may be opened here (`app.login.browser.is_there()`).
        Raises:
            SignInGivenUp: nobody signed in, or the person said no.
            SignInNotOffered: the flow has no way that can be gone here.
            SignInRefused, SignInUnavailable, CertificateMismatch, CertificateUntrusted, ClockOff: as they say.
        """
        has_device = flow.device is not None and bool(flow.device.device_auth_endpoint)
        if flow.pkce is not None and flow.pkce.authorization_endpoint and (browser or not has_device):
            try:
                return await self._in_browser(flow.server, flow.pkce, on_prompt, browser=browser, has_other_way=has_device)
            except (BrowserMissing, PortTaken):
                if not has_device:
                    raise
        if flow.device is None or not has_device:
            raise SignInNotOffered("The server offers no way to sign in that this app knows.")
        return await self._elsewhere(flow.server, flow.device, on_prompt)

    async def _in_browser(
        self, server: ServerLocation, provider: Provider, on_prompt: OnPrompt, *, browser: bool, has_other_way: bool
    ) -> Tokens:
        attempt = pkce.new_attempt()
        async with ProviderHttp(server, provider.token_endpoint) as http:
            await http.reach(provider.token_endpoint)  # before the person stands before a page that can't load
            is_pinned = server.fingerprint is not None and is_at(server, provider.authorization_endpoint)
            proxy = PinnedProxy(http, provider.authorization_endpoint) if is_pinned else None

            async def take(query: Iterable[tuple[str, str]]) -> Tokens:
                code = pkce.read_callback(query, attempt)
                answer = await http.post(provider.token_endpoint, pkce.token_form(provider, attempt, code, loopback.redirect_uri))
                if not answer.is_success:
                    raise answer.failure()
                return read_tokens(answer.body, provider, nonce=attempt.nonce, issuer=code.issuer)

            async with listen(provider.redirect_urls, take, proxy) as loopback:
                url = pkce.authorization_url(provider, attempt, loopback.redirect_uri)
                url = proxy.address(url, loopback.origin) if proxy is not None else url

                def ask(note: str) -> None:
                    on_prompt(Prompt("browser", url, "", self._patience, url, note))

                ask("" if browser else BY_HAND)
                try:
                    async with asyncio.timeout(self._patience):
                        if browser and not await self._opened(url, loopback):
                            if has_other_way:
                                raise BrowserMissing
                            ask(BY_HAND)
                        return await asyncio.shield(loopback.result)
                except TimeoutError:
                    raise SignInGivenUp(f"Nobody signed in within {_minutes(self._patience)}.") from None

    async def _opened(self, url: str, loopback: Loopback) -> bool:
        """Whether a browser was opened; True as soon as one has come back."""
        opening = asyncio.ensure_future(self._opens(url))
        waiting: set[asyncio.Future[Any]] = {opening, loopback.result}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return loopback.result.done() or opening.result()
        finally:
            opening.cancel()

    async def _elsewhere(self, server: ServerLocation, provider: Provider, on_prompt: OnPrompt) -> Tokens:
        async with ProviderHttp(server, provider.token_endpoint) as http:
            form = device.start_form(provider)
            answer = await http.post(provider.device_auth_endpoint, form)
            if answer.status >= 500:  # once more: nothing depends on the first
                answer = await http.post(provider.device_auth_endpoint, form)
            code = device.read_start(answer)
            on_prompt(code.prompt(_fingerprint_note(server, code.url)))
            try:
                async with asyncio.timeout(code.expires_in):
                    return await self._poll(http, provider, code)
            except TimeoutError:
                raise SignInGivenUp("Nobody typed the code in time.") from None

    async def _poll(self, http: ProviderHttp, provider: Provider, code: device.DeviceCode) -> Tokens:
        polling = device.Polling(code.interval)
        while True:
            await self._sleep(polling.interval)
            try:
                answer = await http.post(provider.token_endpoint, device.poll_form(provider, code))
            except SignInUnavailable as error:
                polling = polling.after_failure(error)
                continue
            if (after := polling.after(answer)) is None:
                return read_tokens(answer.body, provider)
            polling = after


async def refresh(flow: SignInFlow, refresh_token: str) -> Tokens:
    """New tokens without the person (RFC 6749, section 6).

    Raises:
        SignInRefused: the provider takes this refresh token no more.
        SignInUnavailable, CertificateMismatch, CertificateUntrusted, ClockOff: as they say; later it may go well.
    """
    provider = flow.pkce or flow.device
    if provider is None:
        raise SignInNotOffered("The server offers no way to sign in that this app knows.")
    async with ProviderHttp(flow.server, provider.token_endpoint) as http:
        answer = await http.post(provider.token_endpoint, pkce.refresh_form(provider, refresh_token))
    if not answer.is_success:
        raise answer.failure()
    return read_tokens(answer.body, provider, former_refresh_token=refresh_token)


def _fingerprint_note(server: ServerLocation, url: str) -> str:
    """Browsers elsewhere don't know the certificate of such a server, so the person has to compare it."""
    if server.fingerprint is None or not is_at(server, url):
        return ""
    pin = server.fingerprint.hex(":").upper()
    return f"A browser will warn of this server's own certificate; it is the right one if its SHA-256 fingerprint is {pin}."


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
