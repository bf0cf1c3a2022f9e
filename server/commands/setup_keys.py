"""`covey-server setup-keys`: who may join. Works whether the server runs or not."""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.errors import UsageError
from server.commands.opening import open_beside_server
from server.commands.tables import print_table, time_text
from server.durations import parse_duration
from server.store.folder import DATABASE
from server.store.models import NewSetupKey, SetupKey
from server.store.store import Store

MAX_NAME = 100
MAX_USES = 1_000_000
LONGEST_LIFETIME = 100 * 365 * 86400.0  # seconds

app = typer.Typer(help="Setup keys: make, list, revoke.", no_args_is_help=True)

DataDir = Annotated[Path, typer.Option(help="The folder that `covey-server up` uses.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


async def create_setup_key(
    store: Store,
    *,
    name: str,
    reusable: bool = False,
    expires_in: float | None = None,
    usage_limit: int | None = None,
    ephemeral: bool = False,
) -> NewSetupKey:
    """Make a setup key; `.key` is the only copy of it. Raises UsageError.

    Args:
        reusable: any number of machines, unless `usage_limit` says how many; neither of both: one machine.
        expires_in: seconds; None for never.
        ephemeral: machines that joined with it are forgotten ten minutes after they have left.
    """
    if not (name := name.strip()) or len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(f"a setup key's name has 1 to {MAX_NAME} printable characters")
    if usage_limit is not None and not 1 <= usage_limit <= MAX_USES:
        raise UsageError(f"a usage limit is 1 to {MAX_USES}")
    if expires_in is not None and not 0 < expires_in <= LONGEST_LIFETIME:
        raise UsageError("a setup key expires after more than no time, and within a hundred years")
    return await store.create_setup_key(
        name=name, reusable=reusable, lifetime=expires_in, usage_limit=usage_limit, ephemeral=ephemeral
    )


def state_of(key: SetupKey, now: float) -> str:
    """Whether the key still lets machines in, in one word or two. `now` is unix time, in seconds."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and now >= key.expires_at:
        return "expired"
    if key.usage_limit is not None and key.used >= key.usage_limit:
        return "used up"
    return "valid"


@app.command()
def create(
    data_dir: DataDir,
    name: Annotated[str, typer.Option(help="What you will recognise it by.")],
    reusable: Annotated[bool, typer.Option("--reusable", help="Good for any number of machines; without it, for one.")] = False,
    expires_in: Annotated[str | None, typer.Option(help="How long it is good: 90s, 15m, 24h, 7d. Default: for ever.")] = None,
    usage_limit: Annotated[int | None, typer.Option(help="How many machines it lets in.")] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Forget its machines ten minutes after they have left.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a setup key and show it, this once."""
    lifetime = None if expires_in is None else parse_duration(expires_in)
    is_new = not (data_dir / DATABASE).exists()

    async def make() -> NewSetupKey:
        async with open_beside_server(data_dir, must_exist=False) as store:
            return await create_setup_key(
                store, name=name, reusable=reusable, expires_in=lifetime, usage_limit=usage_limit, ephemeral=ephemeral
            )

    made = asyncio.run(make())
    if is_new:
        typer.echo(f"No server has run on {data_dir} yet; this key is for a new one.", err=True)
    if as_json:
        print(json.dumps({**_described(made.record), "key": made.key}))
        return
    print(made.key)
    typer.echo(f"\n{_in_words(made.record)} It is shown only now; only its hash is kept.", err=True)


@app.command("list")
def list_keys(data_dir: DataDir, as_json: AsJson = False) -> None:
    """List the setup keys, without the keys themselves."""

    async def ask() -> list[SetupKey]:
        async with open_beside_server(data_dir) as store:
            return await store.setup_keys()

    keys, now = asyncio.run(ask()), time.time()
    if as_json:
        rows = [{**_described(key), "hint": key.hint, "used": key.used, "state": state_of(key, now)} for key in keys]
        print(json.dumps([{**row, "created_at": time_text(key.created_at)} for row, key in zip(rows, keys, strict=True)]))
        return
    print_table(
        ("ID", "NAME", "KEY", "STATE", "USED", "EXPIRES", "EPHEMERAL"),
        [
            (
                key.id,
                key.name,
                key.hint,
                state_of(key, now),
                f"{key.used} of {key.usage_limit or 'any number'}",
                time_text(key.expires_at) or "never",
                "yes" if key.ephemeral else "no",
            )
            for key in keys
        ],
        "There is no setup key yet: `covey-server setup-keys create`.",
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `setup-keys list` shows it.")],
    data_dir: DataDir,
    as_json: AsJson = False,
) -> None:
    """Let nobody in with this key any more. Machines that joined with it stay."""

    async def change() -> SetupKey:
        async with open_beside_server(data_dir) as store:
            return await store.revoke_setup_key(key_id)

    key = asyncio.run(change())
    print(
        json.dumps({"id": key.id, "state": "revoked"})
        if as_json
        else f"The setup key {key.name} ({key.hint}) lets nobody in any more."
    )


def _described(key: SetupKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "reusable": key.reusable,
        "expires_at": time_text(key.expires_at),
        "usage_limit": key.usage_limit,
        "ephemeral": key.ephemeral,
    }


def _in_words(key: SetupKey) -> str:
    machines = {None: "any number of machines", 1: "one machine"}.get(key.usage_limit, f"{key.usage_limit} machines")
    return f"It lets in {machines}{'' if key.expires_at is None else f', until {time_text(key.expires_at)}'}."
