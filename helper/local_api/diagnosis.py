"""The route that lets the doctor look."""

from aiohttp import web

from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.work import Work

DOCTOR_TIMEOUT = 12.0  # seconds; the doctor takes 8 at most on a machine that is not overloaded


class DiagnosisRoutes:
    def __init__(self, controller: Controller, gate: Gate, work: Work) -> None:
        self._controller, self._gate, self._work = controller, gate, work

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/doctor", self.doctor)]

    async def doctor(self, request: web.Request) -> web.Response:
        """Everybody may ask, as for the status; how others see this machine from outside is told to those who may see all."""
        caller = await self._gate.standing_of(request)
        document = await self._work.bounded(self._controller.doctor(), DOCTOR_TIMEOUT, "The checks are not done", goes_on=False)
        return web.json_response(self._gate.diagnosis(caller, document))
