"""`python -m tests.bench.crowd`: registers machines at a server, as many as wanted, that then are never there.

Reads `{"join_link", "setup_key", "count"}` from standard input.
"""

import asyncio
import json
import sys

from helper.clients.management import ManagementClient
from helper.engine.joining import target
from protocol.generated.management_pb2 import PeerSystemMeta
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey
from protocol.local_api import UpRequest

AT_ONCE = 16


async def register(server: ServerLocation, setup_key: str, number: int) -> None:
    name = f"crowd{number}"
    client = ManagementClient(server, PrivateKey.generate(), lambda: PeerSystemMeta(hostname=name))
    try:
        await client.login(setup_key)
    finally:
        await client.close()


async def main() -> None:
    wish = json.load(sys.stdin)
    server, setup_key = target(UpRequest(join_link=wish["join_link"], setup_key=wish["setup_key"]), None)
    assert setup_key is not None
    numbers = iter(range(wish["count"]))

    async def work() -> None:
        for number in numbers:
            await register(server, setup_key, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


if __name__ == "__main__":
    asyncio.run(main())
