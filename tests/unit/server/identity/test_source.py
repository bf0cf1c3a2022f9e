"""Our own provider, as management sees it."""

from pathlib import Path

import pytest

from protocol.errors import SignInRefused
from protocol.join_link import ServerLocation
from server.identity.issuer import issuer_of
from server.identity.provider import Identity
from server.identity.signing_keys import ROTATION, sign
from server.identity.source import OwnSource
from server.store import open_store
from tests.unit.server.identity.conftest import Clock
from tests.unit.server.identity.tokens import claims

LOCATION = ServerLocation(("203.0.113.10",), 443, bytes(32))


async def test_the_endpoints_are_at_the_servers_own_address(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        identity = Identity(store, LOCATION)
        offer = await OwnSource(store, LOCATION, identity.keys).provider()
    assert offer.authorization_endpoint == "https://203.0.113.10/oauth2/auth"
    assert offer.token_endpoint == "https://203.0.113.10/oauth2/token"
    assert offer.device_auth_endpoint == "https://203.0.113.10/oauth2/device/code"
    assert (offer.client_id, offer.audience, offer.use_id_token) == ("covey", "covey", True)
    assert "offline_access" in offer.scope


async def test_a_key_that_just_rotated_signs_at_once_and_its_predecessor_still_counts(tmp_path: Path, clock: Clock) -> None:
    async with open_store(tmp_path, clock=clock) as store:
        identity = Identity(store, LOCATION, clock=clock)
        source = OwnSource(store, LOCATION, identity.keys, clock=clock)
        old = (await identity.keys())[0]
        await source.verify(sign(old, claims(clock.now, iss=issuer_of(LOCATION))))

        clock.now += ROTATION
        new = (await identity.keys())[0]
        assert new.id != old.id
        for number, key in enumerate((new, old)):
            person = await source.verify(sign(key, claims(clock.now, iss=issuer_of(LOCATION), jti=str(number))))
            assert person.email == "alice@example.org"
        with pytest.raises(SignInRefused, match="of another provider"):
            await source.verify(sign(new, claims(clock.now, iss="https://198.51.100.7/oauth2")))
