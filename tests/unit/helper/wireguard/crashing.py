"""A helper that brings a device up at a port, says so and waits to be killed: `python -m ... NAME LEDGER PORT`."""

import asyncio
import sys
from pathlib import Path

from helper.ledger.ledger import Ledger
from helper.wireguard.device import DeviceSettings, open_device
from protocol.keys import PrivateKey


async def main(name: str, ledger: Path, port: int) -> None:
    settings = DeviceSettings(name, PrivateKey.generate(), port, (), backend="userspace")
    async with open_device(settings, Ledger(ledger)):
        print("up", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
