"""One-time links: whoever holds one chooses a password, once. They stand in for the e-mail that this server does not send."""

from sqlalchemy import Connection

from server.identity.issuer import WELCOME
from server.store import Role, Store, User, grants
from server.store.grants import OneTimeLink
from server.store.people import add_user, canonical_email, canonical_name, find_user, has_owner, set_password
from server.store.queries import first_account

OWNER, INVITE, RESET = "owner", "invite", "reset"
LIFETIMES = {OWNER: 86400.0, INVITE: 7 * 86400.0, RESET: 86400.0}  # seconds


async def make_link(store: Store, purpose: str, now: float, *, role: Role = Role.USER, user_id: str | None = None) -> str:
    """The path of a new link, `/welcome/TOKEN`; only its hash is kept. `now` is unix time, in seconds."""
    token = grants.new_secret()

    def add(connection: Connection) -> None:
        account = first_account(connection).id
        expires_at = now + LIFETIMES[purpose]
        grants.add_link(connection, OneTimeLink(grants.hash_of(token), account, purpose, user_id, role, now, expires_at), now)

    await store.write(add)
    return f"{WELCOME}/{token}"


def find_good_link(connection: Connection, token: str, now: float) -> tuple[OneTimeLink, User | None] | None:
    """A link that may be used now, and whose password it resets."""
    link = grants.find_link(connection, token)
    if link is None or now >= link.expires_at or (link.purpose == OWNER and has_owner(connection)):
        return None
    return link, None if link.user_id is None else find_user(connection, link.user_id)


def accept(connection: Connection, token: str, email: str, name: str, password_hash: str, now: float) -> User | None:
    """Use a link: add the person, or give them the new password. None: it is no good any more.

    Raises EmailTaken, and UsageError for what is no e-mail address; the link then stays good.
    """
    found = find_good_link(connection, token, now)
    if found is None:
        return None
    link, user = found
    if link.purpose == RESET:
        if user is None:
            return None
        set_password(connection, user.id, password_hash)
    else:
        email = canonical_email(email)
        user = add_user(connection, email, canonical_name(name, email), Role(link.role), now, password_hash=password_hash)
    grants.spend_link(connection, link)
    return user
