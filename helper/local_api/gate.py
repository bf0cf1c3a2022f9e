"""Lets callers do what they may: asks who they are, whose the profile is and who sits at the screen, and decides."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from helper.diagnose.doctor import DoctorDocument
from helper.local_api.controller import Controller
from helper.local_api.permissions import PUBLIC_EVENTS, Action, Standing, may, redacted, refusal
from helper.recorder import RecordedEvent
from protocol.errors import ProfileUnknown
from protocol.local_api import Profile, ProfilesDocument, StatusDocument


class Gate:
    """Args:
    standing_of: what whoever sent a request is to this machine.
    at_screen: the user of the active session at the screen, now.
    """

    def __init__(
        self,
        controller: Controller,
        standing_of: Callable[[web.Request], Awaitable[Standing]],
        at_screen: Callable[[], int | None],
    ) -> None:
        self._controller, self.standing_of, self._at_screen = controller, standing_of, at_screen

    async def admit(self, request: web.Request, action: Action) -> Standing:
        """Who asks, if he may do this to the active profile. Raises NoPermission."""
        caller = await self.standing_of(request)
        self.check(caller, action)
        return caller

    def check(self, caller: Standing, action: Action, profile: str | None = None) -> None:
        """Raise NoPermission unless the caller may do this now; it costs no time, so call it right before it is done.

        A profile that does not exist belongs to nobody; only who may change things learns that it does not.
        """
        owner, at_screen = self._owner(profile), self._at_screen()
        if not may(action, caller, owner, at_screen):
            raise refusal(action, belongs_to_another=may(action, caller, None, at_screen))

    def status(self, caller: Standing) -> StatusDocument:
        """What this caller may see of the status."""
        status = self._controller.status()
        return status if self._may_see(caller, None) else redacted(status)

    def events(self, caller: Standing, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
        """Those that the caller may know of: what concerns the machine, and what happened to his accounts."""
        if caller.is_trusted:
            return list(events)
        at_screen = self._at_screen()
        return [one for one in events if one.kind in PUBLIC_EVENTS or may(Action.SEE, caller, one.owner, at_screen)]

    def diagnosis(self, caller: Standing, document: DoctorDocument) -> DoctorDocument:
        """What this caller may see of what the doctor found."""
        return document if self._may_see(caller, None) else {**document, "nat": {**document["nat"], "address": ""}}

    def profiles(self, caller: Standing) -> ProfilesDocument:
        """The profiles, with the e-mail addresses of those that are the caller's."""
        found = self._controller.profiles()
        return {**found, "profiles": [self._seen(profile, caller) for profile in found["profiles"]]}

    def _seen(self, profile: Profile, caller: Standing) -> Profile:
        return profile if self._may_see(caller, profile["name"]) else {**profile, "email": ""}

    def _may_see(self, caller: Standing, profile: str | None) -> bool:
        return may(Action.SEE, caller, self._owner(profile), self._at_screen())

    def _owner(self, profile: str | None) -> int | None:
        try:
            return self._controller.owner(profile)
        except ProfileUnknown:
            return None
