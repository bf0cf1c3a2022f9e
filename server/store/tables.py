"""The tables, in SQL that SQLite and PostgreSQL share. Changing one needs a migration in `migrations/versions`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

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
    Column("session_lifetime", Double, server_default="86400"),  # seconds that a sign-in lets a machine be in; NULL: for ever
)

users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("issuer", String(255), nullable=False),  # '' for our own provider
    Column("subject", String(255), nullable=False),
    Column("email", String(254), nullable=False),
    Column("name", String(100), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(255)),  # argon2id, with its salt and cost
    Column("blocked_at", Double),
    Column("created_at", Double, nullable=False),
    Column("last_login", Double),
    UniqueConstraint("issuer", "subject"),
)
_EMBEDDED = text("issuer = ''")
Index(
    "ix_users_embedded_email",
    users.c.account_id,
    users.c.email,
    unique=True,
    sqlite_where=_EMBEDDED,
    postgresql_where=_EMBEDDED,
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
    Column("user_id", ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("last_login", Double),
    UniqueConstraint("account_id", "name"),
    UniqueConstraint("account_id", "address"),
)

# ---- the embedded OpenID provider; of codes and tokens only the SHA-256 is kept

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", String(64), primary_key=True),  # the `kid` of tokens
    Column("private_key", Text, nullable=False),  # PKCS #8, PEM
    Column("created_at", Double, nullable=False),
)

sign_ins = Table(  # what one sign-in of an app allows; all refresh tokens that descend from it are one family
    "sign_ins",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", String(100), nullable=False),
    Column("scope", String(255), nullable=False),
    Column("auth_time", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("sign_in_id", ForeignKey("sign_ins.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double),  # a used one is kept, so that a second use is noticed
)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", String(100), nullable=False),
    Column("redirect_uri", String(255), nullable=False),
    Column("scope", String(255), nullable=False),
    Column("nonce", String(255), nullable=False),
    Column("code_challenge", String(128), nullable=False),
    Column("auth_time", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
    Column("sign_in_id", String(32)),  # what it led to, to be undone if the code comes again
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column("user_code_hash", String(64), nullable=False, unique=True),
    Column("client_id", String(100), nullable=False),
    Column("scope", String(255), nullable=False),
    Column("interval", Integer, nullable=False),  # seconds
    Column("expires_at", Double, nullable=False),
    Column("polled_at", Double),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),  # who said yes
    Column("auth_time", Double),
    Column("denied", Boolean, nullable=False),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("auth_time", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("purpose", String(16), nullable=False),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("role", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

spent_tokens = Table(  # JWTs that were accepted once
    "spent_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)
