"""Our interface as IP sees it: state, MTU, addresses, routes."""

import sys
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from helper.interface.state import InterfaceState, Step


class Interface(Protocol):
    async def look(self) -> InterfaceState | None:
        """How it is now; None if it is gone."""

    async def apply(self, steps: Iterable[Step]) -> None:
        """Take these steps. Raises OSError for the first that is refused."""

    async def changed(self) -> None:
        """Wait until something about it has changed, or may have."""


def open_interface(name: str) -> AbstractAsyncContextManager[Interface]:
    """Raises OSError if there is none of this name."""
    if sys.platform == "linux":
        from helper.interface.linux import open_interface as open_backend

        return open_backend(name)
    raise OSError("there is no such interface on this system")
