"""Where the persons of this server sign in: what management needs of a provider, ours or another."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from joserfc.jwk import KeySet

from protocol.join_link import ServerLocation
from protocol.sign_in import Provider
from server.identity.issuer import (
    AUTHORIZATION,
    CLIENT_ID,
    DEVICE_AUTHORIZATION,
    SCOPES,
    TOKEN,
    issuer_of,
    origin_of,
)
from server.identity.keys import Keys
from server.identity.signing_keys import key_set
from server.identity.urls import REDIRECT_URLS
from server.identity.verify import Person, Verifier
from server.store import Store
from server.store.grants import SigningKey
from server.store.people import EMBEDDED


class SignInSource(Protocol):
    """A provider.

    Attributes:
        issuer: as the store has it; empty for our own, which knows nobody whom the store does not.
    """

    issuer: str

    async def provider(self) -> Provider:
        """Both flows; an endpoint is empty where the provider does not offer that one. Raises SignInUnavailable."""

    async def verify(self, token: str) -> Person:
        """Accept a token, once. Raises SignInRefused, ClockOff or SignInUnavailable."""


class OwnSource:
    """Our own provider, whose keys are in the store."""

    issuer = EMBEDDED

    def __init__(
        self,
        store: Store,
        location: ServerLocation,
        keys: Callable[[], Awaitable[Sequence[SigningKey]]],
        *,
        ask_again: str = "login",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ask_again` as `Provider` has it; `clock` is unix time, in seconds."""

        async def fetch() -> KeySet:
            return key_set(await keys())

        origin = origin_of(location)
        self._provider = Provider(
            client_id=CLIENT_ID,
            audience=CLIENT_ID,
            scope=" ".join(SCOPES),
            use_id_token=True,
            authorization_endpoint=origin + AUTHORIZATION,
            token_endpoint=origin + TOKEN,
            device_auth_endpoint=origin + DEVICE_AUTHORIZATION,
            redirect_urls=REDIRECT_URLS,
            ask_again=ask_again,
        )
        known = Keys(fetch, refetch_interval=0.0)  # a look into the store costs little
        self._verifier = Verifier(issuer_of(location), CLIENT_ID, known, store.people.spend_jwt, clock=clock)

    async def provider(self) -> Provider:
        return self._provider

    async def verify(self, token: str) -> Person:
        return await self._verifier.verify(token)
