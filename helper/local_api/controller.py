"""What the local API lets people do. The engine does it."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from helper.diagnose.doctor import DoctorDocument
from helper.recorder import Recorder
from protocol.local_api import Preferences, ProfilesDocument, StatusDocument, UpRequest
from protocol.sign_in import SignInFlow


class Controller(Protocol):
    """Every method raises CoveyError kinds. What concerns a profile concerns the active one unless it is named."""

    @property
    def recorder(self) -> Recorder:
        """What happened."""

    async def up(self, request: UpRequest, uid: int | None = None) -> None:
        """Join or come up; return when management and signal are up. Cancelling gives up.

        `uid` is who asks; a sign-in makes the profile his.
        """

    async def down(self) -> None: ...

    async def logout(self) -> None: ...

    async def sign_in_flow(self, place: UpRequest) -> SignInFlow:
        """Where to sign in for the server at this place."""

    async def extend_session(self, jwt: str) -> str:
        """Renew the session; return when it ends, in ISO 8601."""

    def status(self) -> StatusDocument: ...

    async def refresh(self) -> None:
        """Read WireGuard's counters now, for the next `status`; an interface that does not answer is not waited for."""

    def changes(self) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever the status may have changed; whoever waits clears it."""

    def owner(self, profile: str | None = None) -> int | None:
        """The number of the user who signed in this profile, None if nobody did. Raises ProfileUnknown."""

    def profiles(self) -> ProfilesDocument: ...

    def add_profile(self, name: str) -> None: ...

    async def use_profile(self, name: str) -> None:
        """Make it the active one. The tunnel of the former goes down, and that of the new one comes up if it was up."""

    def remove_profile(self, name: str) -> None: ...

    def preferences(self) -> Preferences: ...

    def prefer(self, changes: Mapping[str, Any]) -> None:
        """Change what is named, from the next `up` on."""

    async def doctor(self) -> DoctorDocument:
        """Examine this machine's connections, within 8 s."""

    async def bundle(self, *, include_names: bool) -> bytes:
        """A ZIP file of what whoever helps wants to see; without secrets, and without names and addresses unless asked for."""
