"""A helper that brings a device up, says so and waits to be killed: `python -m ... NAME LEDGER`."""

import asyncio
import sys
from pathlib import Path

from helper.ledger.ledger import Ledger
from helper.wireguard.device import DeviceSettings, open_device
from protocol.keys import PrivateKey


async def main(name: str, ledger: Path) -> None:
    settings = DeviceSettings(name, PrivateKey.generate(), 0, (), backend="userspace")
    async with open_device(settings, Ledger(ledger)):
        print("up", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
