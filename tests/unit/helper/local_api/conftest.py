import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from helper.local_api.listener import serve
from tests.unit.helper.local_api.scripted import ScriptedController, peer, relayed


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path that everybody may reach and that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="covey-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "run" / "helper.sock"


@pytest.fixture
async def controller(socket_path: Path) -> AsyncIterator[ScriptedController]:
    """What answers at `socket_path`."""
    scripted = ScriptedController(peer("bob", 2), relayed("carol", 3))
    async with serve(scripted, socket_path):
        yield scripted
