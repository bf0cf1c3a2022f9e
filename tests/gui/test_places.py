import asyncio
import sys

from tests.support.session_bus import connect_as, session_bus

PROGRAM = """
from PySide6.QtWidgets import QSystemTrayIcon
from app import qt_bridge
from app.tray.places import TrayPlace

app = qt_bridge.application(["covey-tray"])
QSystemTrayIcon.isSystemTrayAvailable = lambda: True
place = TrayPlace()
place.appeared.connect(lambda: print("appeared", flush=True))
place.start()
app.exec()
"""


async def test_a_host_of_status_icons_that_starts_anew_gets_the_icon_anew() -> None:
    async with session_bus() as address:
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE)
        assert program.stdout is not None
        assert await program.stdout.readline() == b"appeared\n"
        for _ in range(2):
            async with await connect_as("org.kde.StatusNotifierWatcher", address):
                assert await program.stdout.readline() == b"appeared\n"
        program.kill()
        await program.communicate()
