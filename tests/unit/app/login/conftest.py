import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from app.login.prompt import Prompt
from server.certificates import make_self_signed
from tests.support.openid import ScriptedProvider, WalkingBrowser


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider().serve() as serving:
        yield serving


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, bytes]:
    """Of the server's own making, and its fingerprint."""
    chain, key = make_self_signed([ip_address("127.0.0.1")])
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    return context, x509.load_pem_x509_certificate(chain).fingerprint(hashes.SHA256())


@pytest.fixture
def browser() -> WalkingBrowser:
    return WalkingBrowser()


@pytest.fixture
def prompts() -> list[Prompt]:
    return []
