"""`covey-server users`: who may sign in. Works whether the server runs or not."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from protocol.errors import UsageError
from server.commands.opening import open_beside_server
from server.commands.tables import print_table, time_text
from server.identity.issuer import origin_of
from server.identity.links import LIFETIMES, RESET, make_link
from server.identity.passwords import LONGEST, Passwords
from server.server_info import read_server_info
from server.store import Role, Store, User
from server.store.folder import DATABASE

app = typer.Typer(help="People: add, list, block, give a new password.", no_args_is_help=True)

T = TypeVar("T")

DataDir = Annotated[Path, typer.Option(help="The folder that `covey-server up` uses.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Email = Annotated[str, typer.Argument(metavar="EMAIL|ID", help="As `users list` shows it.")]
PasswordFile = Annotated[Path | None, typer.Option(metavar="FILE|-", help="Holds the password; - reads it from stdin.")]


@app.command()
def create(
    data_dir: DataDir,
    email: Annotated[str, typer.Option(help="The person's name for signing in.")],
    password_file: Annotated[Path, typer.Option(metavar="FILE|-", help="Holds the password; - reads it from stdin.")],
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.USER,
    name: Annotated[str, typer.Option(help="What to call them.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a person who signs in with a password. `covey-server invite` lets them choose it themselves."""
    password = read_password(password_file)
    is_new = not (data_dir / DATABASE).exists()

    async def add() -> User:
        password_hash = await Passwords().hash(password)
        async with open_beside_server(data_dir, must_exist=False) as store:
            return await store.people.add_user(email, name, role, password_hash)

    user = asyncio.run(add())
    if is_new:
        typer.echo(f"No server has run on {data_dir} yet; this person is one of a new one.", err=True)
    print(json.dumps(described(user)) if as_json else f"{user.email} can sign in, as {user.role}.")


@app.command("list")
def list_users(data_dir: DataDir, as_json: AsJson = False) -> None:
    """List the people."""
    people = _with_store(data_dir, lambda store: store.people.users())
    if as_json:
        print(json.dumps([described(user) for user in people]))
        return
    print_table(
        ("ID", "EMAIL", "NAME", "ROLE", "STATE", "SIGNS IN WITH", "LAST SIGN-IN"),
        [
            (
                user.id,
                user.email,
                user.name,
                user.role,
                "blocked" if user.is_blocked else "active",
                user.issuer or "password",
                time_text(user.last_login) or "never",
            )
            for user in people
        ],
        "There is nobody yet: `covey-server users create`, or `covey-server invite`.",
    )


@app.command("reset-password")
def reset_password(email: Email, data_dir: DataDir, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """Give a person another password, or, without --password-file, a link with which they choose it."""
    if password_file is not None:
        password = read_password(password_file)

        async def change(store: Store) -> User:
            user = await _with_own_password(store, email)
            await store.people.set_password(user.id, await Passwords().hash(password))
            return user

        user = _with_store(data_dir, change)
        changed = {"id": user.id, "email": user.email, "password": "changed"}
        print(json.dumps(changed) if as_json else f"{user.email} has another password, and is signed out everywhere.")
        return
    location, _ = read_server_info(data_dir)
    now = time.time()

    async def make(store: Store) -> str:
        user = await _with_own_password(store, email)
        return await make_link(store, RESET, now, user_id=user.id)

    link = origin_of(location) + _with_store(data_dir, make)
    if as_json:
        print(json.dumps({"link": link, "expires_at": time_text(now + LIFETIMES[RESET])}))
        return
    print(link)
    print("\nIt works once, within a day; treat it like a password. The former password is good until then.", file=sys.stderr)


@app.command()
def block(email: Email, data_dir: DataDir, as_json: AsJson = False) -> None:
    """Keep a person and their machines out; a running server ends their connections within seconds."""
    user = _with_store(data_dir, lambda store: _set_blocked(store, email, True))
    print(json.dumps(described(user)) if as_json else f"{user.email} is blocked.")


@app.command()
def unblock(email: Email, data_dir: DataDir, as_json: AsJson = False) -> None:
    """Let a blocked person in again; they sign in anew."""
    user = _with_store(data_dir, lambda store: _set_blocked(store, email, False))
    print(json.dumps(described(user)) if as_json else f"{user.email} may sign in again.")


@app.command()
def remove(email: Email, data_dir: DataDir, as_json: AsJson = False) -> None:
    """Forget a person; their machines leave the network."""

    async def change(store: Store) -> User:
        user = await store.people.find_by_email(email)
        await store.people.remove_user(user.id)
        return user

    user = _with_store(data_dir, change)
    removed = {"id": user.id, "email": user.email, "removed": True}
    print(json.dumps(removed) if as_json else f"{user.email} and their machines are out of the network.")


def read_password(file: Path) -> str:
    """The password in a file, or on stdin for `-`, without the line's end. Raises UsageError."""
    try:
        text = sys.stdin.read(LONGEST + 2) if str(file) == "-" else _head(file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("the password is no text in UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def described(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "blocked": user.is_blocked,
        "issuer": user.issuer or None,
        "created_at": time_text(user.created_at),
        "last_login": time_text(user.last_login),
    }


def _head(file: Path) -> str:
    with file.open(encoding="utf-8", newline="") as opened:
        return opened.read(LONGEST + 2)


def _with_store(data_dir: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_beside_server(data_dir) as store:
            return await work(store)

    return asyncio.run(run())


async def _set_blocked(store: Store, email: str, blocked: bool) -> User:
    return await store.people.set_blocked((await store.people.find_by_email(email)).id, blocked)


async def _with_own_password(store: Store, email: str) -> User:
    user = await store.people.find_by_email(email)
    if user.issuer:
        raise UsageError(f"{user.email} signs in at {user.issuer}; their password is kept there")
    return user
