"""Who may sign in: parts of transactions, and `Store.people`, which makes transactions of them."""

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection, delete, exists, insert, select, update

from protocol.errors import SignInRefused, UsageError, UserBlocked
from protocol.keys import PublicKey
from server.store import queries, registration
from server.store.errors import EmailTaken, NoSuchUser
from server.store.models import Peer, PeerMeta, Role, User
from server.store.registration import raise_serial
from server.store.rows import user_of
from server.store.sqlite import Database
from server.store.tables import (
    authorization_codes,
    browser_sessions,
    device_codes,
    one_time_links,
    peers,
    sign_ins,
    spent_tokens,
    users,
)

EMBEDDED = ""  # the issuer of those who have a password here
MAX_EMAIL, MAX_NAME, MAX_SUBJECT = 254, 100, 255  # characters; RFC 5321, section 4.5.3.1.3; ours; OpenID Connect Core, section 2


def canonical_email(text: str) -> str:
    """An e-mail address as it is kept and looked up: trimmed, lower case. Raises UsageError for what is none."""
    email = text.strip().lower()
    local, at, domain = email.rpartition("@")
    is_plain = email.isprintable() and not any(c.isspace() or c in '<>"(),;:\\' for c in email)
    if not at or not local or "@" in local or not domain or not is_plain or len(email) > MAX_EMAIL:
        raise UsageError("this is no e-mail address", "It is like alice@example.org.")
    return email


def canonical_name(text: str, email: str) -> str:
    """A person's name on one line, at most 100 characters; the part of the e-mail address before the @ where there is none."""
    name = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (name or email.partition("@")[0])[:MAX_NAME]


# ---- parts of transactions


def find_user(connection: Connection, user_id: str) -> User | None:
    row = connection.execute(select(users).where(users.c.id == user_id)).mappings().first()
    return None if row is None else user_of(row)


def by_subject(connection: Connection, issuer: str, subject: str) -> User | None:
    one = (users.c.issuer == issuer) & (users.c.subject == subject)
    row = connection.execute(select(users).where(one)).mappings().first()
    return None if row is None else user_of(row)


def with_password(connection: Connection, email: str) -> tuple[User, str | None] | None:
    """One of our own provider's people, and the hash of their password."""
    one = (users.c.issuer == EMBEDDED) & (users.c.email == email)
    row = connection.execute(select(users).where(one)).mappings().first()
    return None if row is None else (user_of(row), row["password_hash"])


def refuse_blocked(user: User) -> None:
    """Raises UserBlocked."""
    if user.is_blocked:
        raise UserBlocked("you are blocked on this server")


def has_owner(connection: Connection) -> bool:
    return bool(connection.execute(select(exists().where(users.c.role == Role.OWNER))).scalar())


def add_user(
    connection: Connection,
    email: str,
    name: str,
    role: Role,
    now: float,
    *,
    issuer: str = EMBEDDED,
    subject: str | None = None,
    password_hash: str | None = None,
) -> User:
    """Add a person; one of ours has their id for a subject. Raises EmailTaken."""
    if issuer == EMBEDDED and with_password(connection, email) is not None:
        raise EmailTaken(f"there is somebody with the e-mail address {email} already")
    user_id = queries.new_id()
    user = User(
        id=user_id,
        account_id=queries.first_account(connection).id,
        issuer=issuer,
        subject=user_id if subject is None else subject,
        email=email,
        name=name,
        role=role,
        has_password=password_hash is not None,
        blocked_at=None,
        created_at=now,
        last_login=None,
    )
    row = asdict(user) | {"password_hash": password_hash}
    del row["has_password"]
    connection.execute(insert(users).values(row))
    return user


def sign_out_everywhere(connection: Connection, user_id: str) -> None:
    """End what a person is signed in with: browser sessions, refresh tokens, and codes that would become some.

    Machines that are in stay in until their session ends.
    """
    for table in (browser_sessions, sign_ins, authorization_codes, device_codes):
        connection.execute(delete(table).where(table.c.user_id == user_id))


def set_password(connection: Connection, user_id: str, password_hash: str) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    connection.execute(delete(one_time_links).where(one_time_links.c.user_id == user_id))  # which would give another
    sign_out_everywhere(connection, user_id)


# ---- transactions


class People:
    """What a server remembers of persons. Every method is one transaction."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    async def users(self) -> list[User]:
        """All of them, the oldest first."""
        oldest_first = select(users).order_by(users.c.created_at, users.c.id)
        return await self._database.read(lambda connection: [user_of(row) for row in connection.execute(oldest_first).mappings()])

    async def find_user(self, user_id: str) -> User | None:
        return await self._database.read(lambda connection: find_user(connection, user_id))

    async def user_by_subject(self, issuer: str, subject: str) -> User | None:
        """The person that a token speaks of; `issuer` is empty for our own provider."""
        return await self._database.read(lambda connection: by_subject(connection, issuer, subject))

    async def find_by_email(self, email: str) -> User:
        """The person with this e-mail address, of our own provider before others, or with this id.

        Raises NoSuchUser, or UsageError where several have the address: at other providers people may call themselves so.
        """
        if (user := await self.find_user(email)) is not None:
            return user
        by_email = select(users).where(users.c.email == email.strip().lower()).order_by(users.c.issuer)
        rows = await self._database.read(lambda connection: connection.execute(by_email).mappings().all())
        if not rows:
            raise NoSuchUser(f"there is nobody with the e-mail address {email}")
        if rows[0]["issuer"] != EMBEDDED and len(rows) > 1:
            raise UsageError(
                f"{len(rows)} people have the e-mail address {email}", "Give the ID that `users list` shows instead."
            )
        return user_of(rows[0])

    async def has_owner(self) -> bool:
        return await self._database.read(has_owner)

    async def add_user(self, email: str, name: str, role: Role, password_hash: str | None) -> User:
        """Add a person who signs in with a password here. Raises EmailTaken, or UsageError for what is no e-mail address."""
        email, now = canonical_email(email), self._clock()
        name = canonical_name(name, email)
        return await self._database.write(
            lambda connection: add_user(connection, email, name, role, now, password_hash=password_hash)
        )

    async def add_external_user(self, issuer: str, subject: str, email: str, name: str) -> User:
        """Note somebody whom another provider knows; who is known already stays. The first person here becomes the owner."""
        email, now = "".join(filter(str.isprintable, email)).strip().lower()[:MAX_EMAIL], self._clock()
        name = canonical_name(name, email)

        def add(connection: Connection) -> User:
            if (known := by_subject(connection, issuer, subject)) is not None:
                return known
            role = Role.USER if has_owner(connection) else Role.OWNER
            return add_user(connection, email, name, role, now, issuer=issuer, subject=subject)

        return await self._database.write(add)

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """From now on only this password is good; whoever is signed in with the former one is signed out."""
        await self._database.write(lambda connection: set_password(connection, user_id, password_hash))

    async def renew_hash(self, user_id: str, former: str, password_hash: str) -> None:
        """Keep the same password at another cost; nothing happens if it was changed meanwhile."""
        one = (users.c.id == user_id) & (users.c.password_hash == former)
        row = update(users).where(one).values(password_hash=password_hash)
        await self._database.write(lambda connection: connection.execute(row) and None)

    async def set_blocked(self, user_id: str, blocked: bool) -> User:
        """Keep a person out, or let them in again. Raises the account's serial, so that network maps are made anew.

        Raises NoSuchUser.
        """
        now = self._clock()

        def change(connection: Connection) -> User:
            user = _existing(connection, user_id)
            if user.is_blocked != blocked:
                row = update(users).where(users.c.id == user_id).values(blocked_at=now if blocked else None)
                connection.execute(row)
                raise_serial(connection, user.account_id, now)
            if blocked:
                sign_out_everywhere(connection, user_id)
            return _existing(connection, user_id)

        return await self._database.write(change)

    async def remove_user(self, user_id: str) -> None:
        """Forget a person and their machines. Raises NoSuchUser."""
        now = self._clock()

        def remove(connection: Connection) -> None:
            user = _existing(connection, user_id)
            connection.execute(delete(peers).where(peers.c.user_id == user_id))
            connection.execute(delete(users).where(users.c.id == user_id))
            raise_serial(connection, user.account_id, now)

        await self._database.write(remove)

    async def sign_in(self, user_id: str, public_key: PublicKey, meta: PeerMeta) -> Peer:
        """Let a person's machine in, or begin its session anew, in which it may stay for the account's `session_lifetime`.

        Raises SignInRefused if the machine is another's or the person is gone, UserBlocked, or AddressesUsedUp.
        """
        peer_id, now = queries.new_id(), self._clock()

        def let_in(connection: Connection) -> Peer:
            user = find_user(connection, user_id)
            if user is None:
                raise SignInRefused("this person is not known here any more", "Ask whoever runs the server to invite you.")
            refuse_blocked(user)
            peer = registration.sign_in(connection, public_key, user, meta, peer_id=peer_id, now=now)
            connection.execute(update(users).where(users.c.id == user_id).values(last_login=now))
            return peer

        return await self._database.write(let_in)

    async def note_login(self, user_id: str) -> None:
        """Note that this person signed in now."""
        row = update(users).where(users.c.id == user_id).values(last_login=self._clock())
        await self._database.write(lambda connection: connection.execute(row) and None)

    async def spend_jwt(self, token_hash: str, expires_at: float) -> bool:
        """Say whether this token was never here before, and remember it until `expires_at` (unix seconds)."""
        now, one = self._clock(), spent_tokens.c.token_hash == token_hash

        def spend(connection: Connection) -> bool:
            if connection.execute(select(spent_tokens.c.token_hash).where(one)).first() is not None:
                return False
            connection.execute(delete(spent_tokens).where(spent_tokens.c.expires_at < now))
            connection.execute(insert(spent_tokens).values(token_hash=token_hash, expires_at=expires_at))
            return True

        return await self._database.write(spend)


def _existing(connection: Connection, user_id: str) -> User:
    user = find_user(connection, user_id)
    if user is None:
        raise NoSuchUser("there is nobody with this id")
    return user
