"""What the provider's pages and endpoints share."""

import time
from collections.abc import Callable

from protocol.join_link import ServerLocation
from server.identity.issuer import issuer_of, origin_of
from server.identity.links import OWNER, make_link
from server.identity.passwords import Passwords
from server.identity.rate_limits import RateLimits
from server.identity.signing_keys import current_keys
from server.store import Role, Store
from server.store.grants import SigningKey


class Identity:
    """The embedded OpenID provider.

    Attributes:
        location: what join links say.
        origin, host: where its pages are, with the scheme and without.
        clock: unix time, in seconds.
    """

    def __init__(
        self,
        store: Store,
        location: ServerLocation,
        *,
        clock: Callable[[], float] = time.time,
        passwords: Passwords | None = None,
    ) -> None:
        self.store, self.location, self.clock = store, location, clock
        self.issuer, self.origin = issuer_of(location), origin_of(location)
        self.host = self.origin.partition("://")[2]
        self.passwords = Passwords() if passwords is None else passwords
        self.limits = RateLimits()

    async def keys(self) -> list[SigningKey]:
        """The published signing keys, the one that signs first."""
        return await current_keys(self.store, self.clock())

    async def owner_link(self) -> str | None:
        """A link that makes its holder the owner, good for a day; None if there is an owner."""
        if await self.store.people.has_owner():
            return None
        return self.origin + await make_link(self.store, OWNER, self.clock(), role=Role.OWNER)
