"""The first tables: accounts, setup keys, peers. Constraints get their names by the convention in `server.store.tables`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

DESCRIBED = (
    "go_os",
    "kernel",
    "platform",
    "os",
    "os_version",
    "kernel_version",
    "netbird_version",
    "ui_version",
    "covey_version",
)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("network", sa.String(18)),
        sa.Column("dns_domain", sa.String(253), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "setup_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("reusable", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("usage_limit", sa.Integer),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("ephemeral", sa.Boolean, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("key_hash"),
    )
    op.create_index(op.f("ix_setup_keys_account_id"), "setup_keys", ["account_id"])
    op.create_table(
        "peers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("public_key", sa.String(44), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("address", sa.String(15), nullable=False),
        sa.Column("ephemeral", sa.Boolean, nullable=False),
        sa.Column("setup_key_id", sa.String(32), sa.ForeignKey("setup_keys.id", ondelete="SET NULL")),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("hostname", sa.String(253), nullable=False),
        *(sa.Column(name, sa.String(128), nullable=False) for name in DESCRIBED),
        sa.UniqueConstraint("public_key"),
        sa.UniqueConstraint("account_id", "name"),
        sa.UniqueConstraint("account_id", "address"),
    )
    op.create_index(op.f("ix_peers_setup_key_id"), "peers", ["setup_key_id"])
