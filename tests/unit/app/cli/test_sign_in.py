"""`covey login` and `covey up` with a person: the real local API, and a provider over real HTTP."""

import json
import pathlib
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from app.cli.sign_in import prompt_text
from app.login.prompt import Prompt
from helper.local_api.listener import serve
from protocol.errors import LoginNeeded, ServerUnreachable, SignInNotOffered
from protocol.local_api import UpRequest
from protocol.sign_in import SignInFlow
from tests.support.openid import EMAIL, ScriptedProvider
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import NEVER, ScriptedController, link, status_document

PLACE = ("--management-url", "https://vpn.example.org")


class Helper(ScriptedController):
    """Lets the machine in with a token, and offers this flow."""

    flow: SignInFlow
    offers = True
    needs_person = True

    async def up(self, request: UpRequest, uid: int | None = None) -> None:
        if self.needs_person and request.jwt is None and request.setup_key is None:
            self.calls.append(request)
            raise LoginNeeded("the server wants to know who you are")
        await super().up(request, uid)
        self.document |= {"email": EMAIL if request.jwt else "", "sessionExpiresAt": "2099-01-01T00:00:00Z"}

    async def sign_in_flow(self, place: UpRequest) -> SignInFlow:
        self.calls.append(("sign-in-flow", place))
        if not self.offers:
            raise SignInNotOffered("the server lets nobody sign in")
        return self.flow


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(device={"interval": 0.01}).serve() as serving:
        yield serving


@pytest.fixture
async def helper(covey: Covey, provider: ScriptedProvider) -> AsyncIterator[Helper]:
    """A machine that is not in yet, and knows a server."""
    scripted = Helper(state="NeedsLogin")
    scripted.flow = provider.flow()
    async with serve(scripted, covey.socket):
        yield scripted


@pytest.fixture
def screen(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session with a browser that goes wherever it is sent."""
    (folder / "browser.py").write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setenv("BROWSER", f"{sys.executable} {folder}/browser.py")


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)


def tokens(helper: Helper) -> list[str]:
    return [call.jwt for call in helper.calls if isinstance(call, UpRequest) and call.jwt]


# ---- login


async def test_login_shows_an_address_a_code_and_a_picture_of_both(
    covey: Covey, helper: Helper, provider: ScriptedProvider
) -> None:
    done = await covey("login", *PLACE)
    assert done.code == 0
    lines = done.out.splitlines()
    assert f"  {provider.origin}/oauth2/device" in lines
    assert "  BCDF-GHJK" in lines
    assert any("█▀" in line for line in lines)
    assert lines[-1] == f"Signed in as {EMAIL}; this machine is connected as alice.covey.internal (100.92.0.1)."
    assert "only you can read" in done.err, "it says where the sign-in is kept without a keyring"


async def test_login_tells_scripts_in_lines_of_json(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    done = await covey("login", "--no-browser", "--json", *PLACE)
    assert done.code == 0
    asked, signed_in = (json.loads(line) for line in done.out.splitlines())
    page = f"{provider.origin}/oauth2/device"
    expected = {"event": "sign-in", "url": page, "user_code": "BCDF-GHJK", "expires_in": 600}
    assert {name: asked[name] for name in expected} == expected
    assert signed_in == {"event": "signed-in", "email": EMAIL}
    [token] = tokens(helper)
    assert token not in done.out + done.err


@pytest.mark.usefixtures("screen")
async def test_login_opens_the_browser_where_there_is_one(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    done = await covey("login", *PLACE)
    assert (done.code, provider.pages) == (0, ["/oauth2/auth"])
    assert "Your browser opens" in done.out
    assert "█" not in done.out


@pytest.mark.usefixtures("screen")
async def test_login_opens_none_if_told_so(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    assert (await covey("login", "--no-browser")).code == 0
    assert provider.pages == []


async def test_login_again_renews_the_session_and_leaves_the_tunnel(
    covey: Covey, helper: Helper, provider: ScriptedProvider
) -> None:
    await covey("login", *PLACE)
    helper.calls.clear()
    assert (await covey("login")).code == 0
    match helper.calls:
        case [("sign-in-flow", _), ("extend-session", str(token))]:
            assert token.count(".") == 2
        case calls:
            raise AssertionError(calls)
    assert [form["grant_type"].rpartition(":")[2] for form in provider.asked] == ["device_code"] * 2, "the person is asked"


async def test_login_leaves_a_machine_that_a_setup_key_let_in(covey: Covey, helper: Helper) -> None:
    helper.show(status_document())
    done = await covey("login")
    assert (done.code, helper.calls) == (0, [])
    assert "a setup key let this machine in" in done.out


async def test_login_with_a_key_asks_nobody(covey: Covey, helper: Helper) -> None:
    done = await covey("login", *PLACE, "--setup-key", "a8b7c6d5-0123-4567-89ab-cdef01234567", "--json")
    assert json.loads(done.out) == {"event": "signed-in", "email": ""}
    assert len(helper.calls) == 1


@pytest.mark.parametrize(
    ("answer", "code", "exit_code"),
    [("access_denied", "sign-in-given-up", 4), ("invalid_client", "sign-in-refused", 4), ("invalid_grant", "sign-in-refused", 4)],
)
async def test_a_sign_in_that_fails_is_an_event_too(
    covey: Covey, helper: Helper, provider: ScriptedProvider, answer: str, code: str, exit_code: int
) -> None:
    provider.answers = [answer]
    done = await covey("login", "--json")
    failed = json.loads(done.out.splitlines()[-1])
    assert (done.code, failed["event"], failed["code"]) == (exit_code, "failed", code)
    assert failed["sentence"] == done.err.splitlines()[0]
    assert tokens(helper) == []


async def test_a_server_that_lets_nobody_sign_in_is_told(covey: Covey, helper: Helper) -> None:
    helper.offers = False
    done = await covey("login", "--json")
    assert (done.code, json.loads(done.out)["code"]) == (4, "sign-in-not-offered")


async def test_without_a_helper_login_fails_as_an_event(covey: Covey) -> None:
    done = await covey("login", "--json")
    assert (done.code, json.loads(done.out)["code"]) == (3, "helper-not-running")


async def test_ctrl_c_gives_up(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    provider.answers = ["authorization_pending"] * 10_000
    process = await covey.start("login", "--json")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["event"] == "sign-in"
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
    assert tokens(helper) == []


# ---- up


async def test_up_signs_in_where_the_server_wants_it(covey: Covey, helper: Helper) -> None:
    done = await covey("up", *PLACE)
    assert done.code == 0
    assert "BCDF-GHJK" in done.out
    assert done.out.splitlines()[-1] == "Connected as alice.covey.internal (100.92.0.1)."
    assert len(tokens(helper)) == 1


async def test_up_asks_nobody_while_what_was_kept_is_good(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    await covey("up")
    helper.show({**status_document(state="NeedsLogin"), "email": EMAIL, "sessionExpiresAt": NEVER})
    done = await covey("up")
    assert (done.code, done.out) == (0, "Connected as alice.covey.internal (100.92.0.1).\n")
    assert [form["grant_type"] for form in provider.asked][-1] == "refresh_token"
    assert len(set(tokens(helper))) == 2


async def test_up_without_login_says_sign_in_and_fails(covey: Covey, helper: Helper, provider: ScriptedProvider) -> None:
    done = await covey("up", "--no-login")
    assert (done.code, done.out) == (4, "")
    assert "Sign in: `covey login`" in done.err
    assert provider.asked == []


async def test_up_of_a_machine_that_knows_no_server_asks_for_one(covey: Covey, helper: Helper) -> None:
    helper.document["management"] = link("")
    done = await covey("up")
    assert done.code == 4
    assert "--join LINK" in done.err
    assert len(helper.calls) == 1


async def test_up_tells_scripts_what_a_person_has_to_do(covey: Covey, helper: Helper) -> None:
    done = await covey("up", "--json")
    asked, status = (json.loads(line) for line in done.out.splitlines())
    assert (asked["event"], asked["user_code"]) == ("sign-in", "BCDF-GHJK")
    assert status["daemonStatus"] == "Connected"


# ---- logout


async def test_logout_forgets_who_signed_in(covey: Covey, helper: Helper, folder: pathlib.Path) -> None:
    await covey("login", *PLACE)
    [kept] = (folder / "data" / "covey").glob("*.json")
    done = await covey("logout")
    assert done.code == 0
    assert not kept.exists()


async def test_a_logout_that_fails_forgets_nothing(covey: Covey, helper: Helper, folder: pathlib.Path) -> None:
    await covey("login", *PLACE)
    helper.failure = ServerUnreachable("gone")
    assert (await covey("logout")).code == 1
    assert list((folder / "data" / "covey").glob("*.json"))


# ---- words


def test_what_a_provider_says_is_not_obeyed_by_the_terminal() -> None:
    text = prompt_text(Prompt("device", "https://h/\x1b[2J", "A\x07B", 600, "https://h/", "note\x1b[31m"))
    assert all(line.isprintable() for line in text.splitlines())


def test_an_address_that_is_too_long_for_a_picture_has_none() -> None:
    text = prompt_text(Prompt("device", "https://h/", "AB", 60, "https://h/" + "x" * 4000))
    assert "█" not in text
    assert "1 min" in text
