"""`covey profile`: the accounts of this machine, one of which is active."""

import json

from app.cli.words import plain
from app.helper_client import HelperClient
from protocol.local_api import ProfilesDocument


async def list_profiles(socket: str, *, as_json: bool) -> None:
    _say(await HelperClient(socket).profiles(), "", as_json)


async def add_profile(socket: str, name: str, *, as_json: bool) -> None:
    document = await HelperClient(socket).add_profile(name)
    _say(document, f"Added the account {_shown(name)}. `covey profile use` changes to it.", as_json)


async def use_profile(socket: str, name: str, *, as_json: bool) -> None:
    document = await HelperClient(socket).use_profile(name)
    _say(document, f"Now using the account {_shown(document['active'])}.", as_json)


async def remove_profile(socket: str, name: str, *, as_json: bool) -> None:
    """Remove it, and forget what renews its sign-in."""
    from app.login.person import account_of, forget

    client = HelperClient(socket)
    known = [profile["name"] for profile in (await client.profiles())["profiles"]]
    document = await client.remove_profile(name)
    for gone in set(known) - {profile["name"] for profile in document["profiles"]}:
        await forget(account_of(client, gone))
    _say(document, f"Removed the account {_shown(name)}.", as_json)


def profile_lines(document: ProfilesDocument) -> list[str]:
    """A line an account, a star at the active one; names may hold anything."""
    rows = [
        (
            "*" if profile["name"] == document["active"] else " ",
            plain(profile["name"]),
            plain(profile["server"]) or "not joined yet",
            plain(profile["email"]),
        )
        for profile in document["profiles"]
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows]


def _say(document: ProfilesDocument, words: str, as_json: bool) -> None:
    print(json.dumps(document) if as_json else words or "\n".join(profile_lines(document)))


def _shown(name: str) -> str:
    return f"{plain(name.strip())!r}"
