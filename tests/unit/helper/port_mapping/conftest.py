from collections.abc import AsyncIterator

import pytest

from helper.port_mapping import asking, igd
from tests.unit.helper.port_mapping.fake_router import FakeRouter, serve


@pytest.fixture
async def router(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeRouter]:
    """A router that speaks everything, at 127.0.0.1 on ports of its own."""
    one = FakeRouter()
    async with serve(one) as (control, search):
        monkeypatch.setattr(asking, "PORT", control)
        monkeypatch.setattr(igd, "SSDP_PORT", search)
        yield one
