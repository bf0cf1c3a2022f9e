"""`covey logout`."""

from app.helper_client import HelperClient
from app.login.person import account_of, forget


async def log_out(socket: str) -> None:
    """Remove the machine, then what renews the sign-in: a server that is away must not cost that."""
    client = HelperClient(socket)
    profile = (await client.status())["profile"]
    await client.logout()
    await forget(account_of(client, profile))
    print("Logged out: this machine is no member of the network any more.")
