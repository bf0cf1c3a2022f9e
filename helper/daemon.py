"""The helper's wiring: the state folder, the engine, the local API, signals."""

import asyncio
import contextlib
import logging
import pathlib
import signal

from helper.engine.engine import Engine, Options
from helper.journal.keep import kept
from helper.local_api.listener import serve as serve_local_api
from helper.log_file import logged
from helper.netmon.sleep import watch as watch_sleep
from helper.settings import StateFolder
from helper.watchdog import guarded
from protocol.version import VERSION

log = logging.getLogger(__name__)


async def serve(state_dir: pathlib.Path, socket: pathlib.Path, options: Options) -> None:
    """Run until TERM or INT. Raises CoveyError when it can't begin."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    folder = StateFolder(state_dir)
    with contextlib.closing(folder), logged(state_dir):
        log.info("Covey %s", VERSION)
        engine = Engine(folder, options)
        async with (
            kept(engine.recorder, state_dir, VERSION),
            serve_local_api(engine, socket),
            guarded(socket) as tell_ready,
        ):
            await engine.start()
            log.info("the helper is ready at %s", socket)
            tell_ready()
            watching = asyncio.create_task(watch_sleep(engine.felt), name="sleep")
            try:
                await ended.wait()
            finally:
                log.info("ending")
                watching.cancel()
                await engine.stop()
