"""The tables, in SQL that SQLite and PostgreSQL share. Changing one needs a migration in `migrations/versions`."""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("network", String(18)),  # "100.92.0.0/16"
    Column("dns_domain", String(253), nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
)

setup_keys = Table(
    "setup_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),  # SHA-256 in hexadecimal
    Column("hint", String(16), nullable=False),
    Column("reusable", Boolean, nullable=False),
    Column("expires_at", Double),
    Column("usage_limit", Integer),
    Column("used", Integer, nullable=False),
    Column("ephemeral", Boolean, nullable=False),
    Column("revoked_at", Double),
    Column("created_at", Double, nullable=False),
)

peers = Table(
    "peers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("public_key", String(44), nullable=False, unique=True),
    Column("name", String(63), nullable=False),
    Column("address", String(15), nullable=False),
    Column("ephemeral", Boolean, nullable=False),
    Column("setup_key_id", ForeignKey("setup_keys.id", ondelete="SET NULL"), index=True),
    Column("created_at", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("hostname", String(253), nullable=False),
    Column("go_os", String(128), nullable=False),
    Column("kernel", String(128), nullable=False),
    Column("platform", String(128), nullable=False),
    Column("os", String(128), nullable=False),
    Column("os_version", String(128), nullable=False),
    Column("kernel_version", String(128), nullable=False),
    Column("netbird_version", String(128), nullable=False),
    Column("ui_version", String(128), nullable=False),
    Column("covey_version", String(128), nullable=False),
    UniqueConstraint("account_id", "name"),
    UniqueConstraint("account_id", "address"),
)
