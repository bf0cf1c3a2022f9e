"""Routes that bring the tunnel up and down, and sign people in."""

from asyncio import Task, wait

from aiohttp import web

from helper.local_api.answers import read_json
from helper.local_api.bodies import place_of, token_of
from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Action, Standing
from helper.local_api.work import Work
from protocol.errors import GivenUp, TimedOut
from protocol.local_api import UpRequest
from protocol.sign_in import SignInFlow

UP_TIMEOUT = 30.0  # seconds, unless the request says otherwise
GRACE = 3.0  # seconds that the controller has beyond that to say itself why it took too long
DOWN_TIMEOUT = 20.0
LOGOUT_TIMEOUT = 30.0
SIGN_IN_TIMEOUT = 12.0


class TunnelRoutes:
    def __init__(self, controller: Controller, gate: Gate, work: Work) -> None:
        self._controller, self._gate, self._work = controller, gate, work

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/up", self.up),
            web.post("/v1/down", self.down),
            web.post("/v1/logout", self.logout),
            web.post("/v1/sign-in-flow", self.sign_in_flow),
            web.post("/v1/extend-session", self.extend_session),
        ]

    async def up(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.CONNECT)
        wish = UpRequest.from_json(await read_json(request))
        seconds = wish.timeout or UP_TIMEOUT
        task = self._work.up = self._work.start(self._up_after(self._work.up, caller, wish))
        await wait([task], timeout=seconds + GRACE)
        if not task.done():
            raise TimedOut(f"Not connected within {seconds:g} s.")
        if task.cancelled():
            raise GivenUp("This `up` was given up, because `down` or another `up` came.")
        task.result()
        return web.json_response({})

    async def down(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.DISCONNECT)
        await self._work.give_up(self._work.up)
        await self._work.bounded(self._down(caller), DOWN_TIMEOUT, "The tunnel is not down yet")
        return web.json_response({})

    async def logout(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.LEAVE)
        await self._work.give_up(self._work.up)
        await self._work.bounded(self._logout(caller), LOGOUT_TIMEOUT, "The server has not confirmed the logout")
        return web.json_response({})

    async def sign_in_flow(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.SIGN_IN)
        place = place_of(await read_json(request))
        asking = self._sign_in_flow(caller, place)
        flow = await self._work.bounded(asking, SIGN_IN_TIMEOUT, "The server has not said where to sign in", goes_on=False)
        return web.json_response(flow.to_json())

    async def extend_session(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.SIGN_IN)
        token = token_of(await read_json(request))
        extending = self._extend_session(caller, token)
        ends = await self._work.bounded(extending, SIGN_IN_TIMEOUT, "The server has not renewed the session yet")
        return web.json_response({"sessionExpiresAt": ends})

    # ---- who may is asked again right before it is done: the active profile may be another one meanwhile

    async def _up_after(self, former: Task[None] | None, caller: Standing, wish: UpRequest) -> None:
        """The newest `up` wins."""
        await self._work.give_up(former)
        self._gate.check(caller, Action.CONNECT)
        await self._controller.up(wish, caller.uid)

    async def _down(self, caller: Standing) -> None:
        self._gate.check(caller, Action.DISCONNECT)
        await self._controller.down()

    async def _logout(self, caller: Standing) -> None:
        self._gate.check(caller, Action.LEAVE)
        await self._controller.logout()

    async def _sign_in_flow(self, caller: Standing, place: UpRequest) -> SignInFlow:
        self._gate.check(caller, Action.SIGN_IN)
        return await self._controller.sign_in_flow(place)

    async def _extend_session(self, caller: Standing, token: str) -> str:
        self._gate.check(caller, Action.SIGN_IN)
        return await self._controller.extend_session(token)
