"""Tells the doctor what the engine knows of this machine; one examination at a time, whoever asks."""

import asyncio
from collections.abc import Callable

from helper.clients.signal import signal_location
from helper.diagnose.doctor import DoctorDocument, examine
from helper.diagnose.patient import Patient
from helper.engine.memory import Memory
from helper.engine.network_map import read_address
from helper.engine.servers import read_stun_servers, read_turn_servers
from helper.engine.session import Session
from protocol.errors import CoveyError
from protocol.local_api import StatusDocument


class Examination:
    """`describe` gives the patient as it is when an examination begins."""

    def __init__(self, describe: Callable[[], Patient]) -> None:
        self._describe = describe
        self._task: asyncio.Task[DoctorDocument] | None = None

    async def result(self) -> DoctorDocument:
        """Of the one that runs, or of a new one; it goes on when whoever asked has left."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(examine(self._describe()))
        return await asyncio.shield(self._task)


def patient_of(status: StatusDocument, memory: Memory, session: Session | None, interface: str, preferred_port: int) -> Patient:
    """Without a session the servers are those of the last login."""
    server = memory.settings.server
    login = session.management.login if session is not None else memory.saved_login()
    port, wanted = preferred_port or memory.settings.wireguard_port, memory.settings.wanted
    if server is None or login is None:
        return Patient(status, interface, port, wanted, server)
    config = login.netbirdConfig
    try:
        signal = signal_location(config, server)
    except (CoveyError, ValueError):
        signal = None
    try:
        overlay = (session.management.address if session is not None else read_address(login.peerConfig)).network
    except ValueError:
        overlay = None
    stun, turn = read_stun_servers(config), read_turn_servers(config)
    snapshot = session.parts.network.snapshot if session is not None and session.parts else None
    return Patient(status, interface, port, wanted, server, signal, stun, turn, overlay, snapshot)
