"""Routes for the profiles of this machine and its preferences."""

from aiohttp import web

from helper.local_api.answers import read_json
from helper.local_api.bodies import name_of
from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Action, Standing
from helper.local_api.work import Work

USE_TIMEOUT = 20.0  # seconds until the former tunnel is down


class AccountRoutes:
    def __init__(self, controller: Controller, gate: Gate, work: Work) -> None:
        self._controller, self._gate, self._work = controller, gate, work

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/profiles", self.profiles, allow_head=False),
            web.post("/v1/profiles", self.add),
            web.post("/v1/profiles/use", self.use),
            web.post("/v1/profiles/remove", self.remove),
            web.get("/v1/preferences", self.preferences, allow_head=False),
            web.post("/v1/preferences", self.prefer),
        ]

    async def profiles(self, request: web.Request) -> web.Response:
        return self._answer(await self._gate.standing_of(request))

    async def add(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.ADD)
        name = name_of(await read_json(request))
        self._gate.check(caller, Action.ADD)
        self._controller.add_profile(name)
        return self._answer(caller)

    async def use(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.DISCONNECT)
        name = name_of(await read_json(request))
        self._check_use(caller, name)
        await self._work.give_up(self._work.up)
        await self._work.bounded(self._use(caller, name), USE_TIMEOUT, "The account is not changed yet")
        return self._answer(caller)

    async def remove(self, request: web.Request) -> web.Response:
        caller = await self._gate.standing_of(request)
        name = name_of(await read_json(request))
        self._gate.check(caller, Action.REMOVE, name)
        self._controller.remove_profile(name)
        return self._answer(caller)

    async def preferences(self, request: web.Request) -> web.Response:
        return web.json_response(self._controller.preferences())

    async def prefer(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.PREFER)
        changes = await read_json(request)
        self._gate.check(caller, Action.PREFER)
        self._controller.prefer(changes)
        return web.json_response(self._controller.preferences())

    async def _use(self, caller: Standing, name: str) -> None:
        self._check_use(caller, name)
        await self._controller.use_profile(name)

    def _check_use(self, caller: Standing, name: str) -> None:
        """Changing takes the active profile's tunnel down, so both must be allowed."""
        self._gate.check(caller, Action.DISCONNECT)
        self._gate.check(caller, Action.USE, name)

    def _answer(self, caller: Standing) -> web.Response:
        return web.json_response(self._gate.profiles(caller))
