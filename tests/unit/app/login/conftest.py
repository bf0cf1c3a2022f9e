import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from app.login.prompt import Prompt
from app.login.sign_in import SignIn
from app.login.tokens import Tokens
from protocol.sign_in import SignInFlow
from server.certificates import make_self_signed
from tests.support.openid import ScriptedProvider, WalkingBrowser

PATIENCE = 30.0  # seconds


class Slept:
    """Waits for nothing, and notes how long it should have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def slept() -> Slept:
    return Slept()


async def in_browser(flow: SignInFlow, browser: WalkingBrowser, prompts: list[Prompt] | None = None, **options: Any) -> Tokens:
    prompts = [] if prompts is None else prompts
    async with asyncio.timeout(PATIENCE):
        return await SignIn(opens=browser, patience=PATIENCE, **options).run(flow, on_prompt=prompts.append, browser=True)


async def elsewhere(flow: SignInFlow, slept: Slept, prompts: list[Prompt] | None = None) -> Tokens:
    prompts = [] if prompts is None else prompts
    async with asyncio.timeout(PATIENCE):
        return await SignIn(opens=no_browser, sleep=slept).run(flow, on_prompt=prompts.append, browser=False)


async def waiting(flow: SignInFlow, prompted: "asyncio.Queue[Prompt]") -> Tokens:
    """As with a browser that shows the page and does nothing."""

    async def opens(url: str) -> bool:
        return True

    return await SignIn(opens=opens, patience=PATIENCE).run(flow, on_prompt=prompted.put_nowait, browser=True)


async def no_browser(url: str) -> bool:
    return False


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
