"""The public keys of a provider: kept by `kid`, read anew when a token names one that we do not know."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from protocol.errors import SignInUnavailable

REFETCH_INTERVAL = 10.0  # seconds between two reads: anybody can make tokens with a `kid` that nobody knows
MAX_AGE = 3600.0  # seconds after which the keys are read anew, so that one that was withdrawn is forgotten

Key = RSAKey | ECKey | OKPKey | OctKey

log = logging.getLogger(__name__)


class Keys:
    def __init__(
        self,
        fetch: Callable[[], Awaitable[KeySet]],
        *,
        refetch_interval: float = REFETCH_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` raises SignInUnavailable where the provider does not answer; `clock` is in seconds and only goes forward."""
        self._fetch, self._interval, self._clock = fetch, refetch_interval, clock
        self._keys: list[Key] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._missed: str | None = None  # what was not among the keys that were read last
        self._fetching = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        """The key, or None: the provider has no such key, by what it says now. Without a `kid` its only key.

        Raises SignInUnavailable while we cannot know.
        """
        found = self._known(kid)
        if found is None or self._is_old():
            async with self._fetching:
                found = self._known(kid)
                if found is None and self._fetched_at is not None and kid == self._missed and self._is_too_early():
                    return None
                if found is None or (self._is_old() and not self._is_too_early()):
                    await self._refetch(kid, is_needed=found is None)
                    found = self._known(kid)
        return found

    def _known(self, kid: str | None) -> Key | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.kid == kid), None)

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._clock() >= self._fetched_at + MAX_AGE

    def _is_too_early(self) -> bool:
        return self._tried_at is not None and self._clock() < self._tried_at + self._interval

    async def _refetch(self, kid: str | None, *, is_needed: bool) -> None:
        if self._is_too_early():
            raise SignInUnavailable("the key of this token is not known yet, and the provider was asked a moment ago")
        self._tried_at = self._clock()
        try:
            self._keys = list(await self._fetch())
        except SignInUnavailable as error:
            if is_needed:
                raise
            log.warning("keys of the OpenID provider that were read an hour ago stay in use: %s", error)
            return
        self._fetched_at = self._clock()
        self._missed = kid if self._known(kid) is None else None
