"""People: users, what the embedded OpenID provider remembers of their sign-ins, and which machine is whose."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

DAY = "86400"  # seconds


def upgrade() -> None:
    _users()
    _ownership()
    _provider()


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(255)),
        sa.Column("blocked_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_login", sa.Double),
        sa.UniqueConstraint("issuer", "subject"),
    )
    embedded = sa.text("issuer = ''")
    op.create_index(
        "ix_users_embedded_email",
        "users",
        ["account_id", "email"],
        unique=True,
        sqlite_where=embedded,
        postgresql_where=embedded,
    )


def _ownership() -> None:
    op.add_column("accounts", sa.Column("session_lifetime", sa.Double, server_default=DAY))
    with op.batch_alter_table("peers") as batch:
        batch.add_column(sa.Column("user_id", sa.String(32)))
        batch.add_column(sa.Column("last_login", sa.Double))
        batch.create_foreign_key(batch.f("fk_peers_user_id_users"), "users", ["user_id"], ["id"], ondelete="SET NULL")
        batch.create_index(batch.f("ix_peers_user_id"), ["user_id"])


def _provider() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("private_key", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(32), primary_key=True),
        _of_user(nullable=False),
        sa.Column("client_id", sa.String(100), nullable=False),
        sa.Column("scope", sa.String(255), nullable=False),
        sa.Column("auth_time", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index(op.f("ix_sign_ins_user_id"), "sign_ins", ["user_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("sign_in_id", sa.String(32), sa.ForeignKey("sign_ins.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
    )
    op.create_index(op.f("ix_refresh_tokens_sign_in_id"), "refresh_tokens", ["sign_in_id"])
    op.create_table(
        "authorization_codes",
        sa.Column("code_hash", sa.String(64), primary_key=True),
        _of_user(nullable=False),
        sa.Column("client_id", sa.String(100), nullable=False),
        sa.Column("redirect_uri", sa.String(255), nullable=False),
        sa.Column("scope", sa.String(255), nullable=False),
        sa.Column("nonce", sa.String(255), nullable=False),
        sa.Column("code_challenge", sa.String(128), nullable=False),
        sa.Column("auth_time", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
        sa.Column("sign_in_id", sa.String(32)),
    )
    op.create_index(op.f("ix_authorization_codes_user_id"), "authorization_codes", ["user_id"])
    op.create_table(
        "device_codes",
        sa.Column("code_hash", sa.String(64), primary_key=True),
        sa.Column("user_code_hash", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(100), nullable=False),
        sa.Column("scope", sa.String(255), nullable=False),
        sa.Column("interval", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("polled_at", sa.Double),
        _of_user(nullable=True),
        sa.Column("auth_time", sa.Double),
        sa.Column("denied", sa.Boolean, nullable=False),
        sa.UniqueConstraint("user_code_hash"),
    )
    op.create_index(op.f("ix_device_codes_user_id"), "device_codes", ["user_id"])
    op.create_table(
        "browser_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        _of_user(nullable=False),
        sa.Column("auth_time", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index(op.f("ix_browser_sessions_user_id"), "browser_sessions", ["user_id"])
    op.create_table(
        "one_time_links",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        _of_user(nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index(op.f("ix_one_time_links_account_id"), "one_time_links", ["account_id"])
    op.create_index(op.f("ix_one_time_links_user_id"), "one_time_links", ["user_id"])
    op.create_table(
        "spent_tokens",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index(op.f("ix_spent_tokens_expires_at"), "spent_tokens", ["expires_at"])


def _of_user(*, nullable: bool) -> "sa.Column[str]":
    return sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=nullable)
