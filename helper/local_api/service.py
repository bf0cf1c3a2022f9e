"""The local API: HTTP and JSON, and a WebSocket of events, over whatever controls the engine.

    POST /v1/up              UpRequest; answers {} when management and signal are up
    POST /v1/down            answers {} when the tunnel is down; wins over an `up` that is under way
    POST /v1/logout          answers {} when this machine is removed from its server
    POST /v1/sign-in-flow    {"management_url"}, {"join_link"} or {}; SignInFlow, within 12 s
    POST /v1/extend-session  {"jwt"}; {"sessionExpiresAt"}, within 12 s
    GET  /v1/profiles        ProfilesDocument, as do the next three
    POST /v1/profiles        {"name"}: add an account
    POST /v1/profiles/use    {"name"}: change to it
    POST /v1/profiles/remove {"name"}: forget it
    GET  /v1/preferences     Preferences, as in force
    POST /v1/preferences     any of them; Preferences
    POST /v1/doctor          {"checks", "nat", "peers"}: what the doctor finds, within 8 s
    GET  /v1/status          StatusDocument
    GET  /v1/version         {"version"}
    GET  /v1/events          WebSocket: the status at once, then at every change, at most five times a second;
                             `?every=S` also looks for moved counters each S seconds
    GET  /v1/journal         JournalPage: what happened; `?after=SEQUENCE` for those after it
    GET  /v1/journal/follow  WebSocket: each JournalEvent after `?after=SEQUENCE` or from now on; it comes again when it repeats
    POST /v1/debug/bundle    {"include_names"}; a ZIP file for whoever helps, within 25 s

An error is {"error": {"code", "sentence", "hint"}}. Who may do what: permissions.py.
"""

from aiohttp import web

from helper.local_api.accounts import AccountRoutes
from helper.local_api.answers import MAX_BODY, answer_errors
from helper.local_api.controller import Controller
from helper.local_api.diagnosis import DiagnosisRoutes
from helper.local_api.gate import Gate
from helper.local_api.journal import JournalRoutes
from helper.local_api.streams import Streams
from helper.local_api.tunnel import TunnelRoutes
from helper.local_api.watching import WatchingRoutes
from helper.local_api.work import Work


class Service:
    """All routes, and the work that they started."""

    def __init__(self, controller: Controller, gate: Gate) -> None:
        self._work = Work()
        self._tunnel = TunnelRoutes(controller, gate, self._work)
        self._accounts = AccountRoutes(controller, gate, self._work)
        self._streams = Streams()
        self._watching = WatchingRoutes(controller, gate, self._streams)
        self._diagnosis = DiagnosisRoutes(controller, gate, self._work)
        self._journal = JournalRoutes(controller, gate, self._work, self._streams)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[answer_errors], client_max_size=MAX_BODY)
        for part in (self._tunnel, self._accounts, self._watching, self._diagnosis, self._journal):
            app.add_routes(part.routes())
        app.on_shutdown.append(self._close)
        return app

    async def _close(self, _: web.Application) -> None:
        """End at once: whoever waits is told, whoever watches is let go."""
        self._work.cancel()
        await self._streams.close()
