"""`covey login`, and what `covey up` does when the server wants a person."""

import io
import json
import sys
from dataclasses import replace

from app.cli.connect import completed, progress
from app.cli.words import own_name, plain, sentence
from app.helper_client import HelperClient
from app.login import browser, person
from app.login.prompt import OnPrompt, Prompt
from app.login.store import user_store
from protocol.errors import CoveyError
from protocol.join_link import JoinLink
from protocol.local_api import StatusDocument, UpRequest


async def login(socket: str, wanted: UpRequest, setup_key_file: str | None, *, may_open_browser: bool, as_json: bool) -> None:
    """Sign in, by a setup key where one is given, and connect; a tunnel that is up to the same server stays up."""
    request = completed(wanted, setup_key_file)
    client = HelperClient(socket)
    before = await client.status()
    is_elsewhere = request.management_url is not None or request.join_link is not None
    is_up = before["daemonStatus"] == "Connected" and not is_elsewhere
    if _has_key(request):
        with progress(socket):
            await client.up(request)
    elif is_up and not before["email"]:
        _say(before, f"Already signed in as {own_name(before)}: a setup key let this machine in.", as_json)
        return
    else:
        on_prompt = tell_as_json if as_json else tell
        token = await token_for(client, before, request, on_prompt, may_open_browser=may_open_browser, anew=True)
        if is_up:
            await client.extend_session(token)
        else:
            with progress(socket):
                await client.up(replace(request, jwt=token))
    status = await client.status()
    who = plain(status["email"]) or own_name(status)
    _say(status, f"Signed in as {who}; this machine is connected as {own_name(status)}.", as_json)


async def token_for(
    client: HelperClient,
    status: StatusDocument,
    request: UpRequest,
    on_prompt: OnPrompt,
    *,
    may_open_browser: bool,
    anew: bool,
) -> str:
    """A token for the server of this request, else of the active profile. Raises CoveyError."""
    flow = await client.sign_in_flow(management_url=request.management_url, join_link=request.join_link)
    tokens = await person.token_for(
        flow,
        person.account_of(client, status["profile"]),
        on_prompt=on_prompt,
        browser=may_open_browser and browser.is_there(),
        anew=anew,
        email=status["email"],
        store=user_store(on_file=lambda words: print(words, file=sys.stderr)),
    )
    return tokens.jwt


def tell(prompt: Prompt) -> None:
    """Say on the terminal what the person has to do."""
    print(prompt_text(prompt), flush=True)


def tell_as_json(prompt: Prompt) -> None:
    event = {
        "event": "sign-in",
        "kind": prompt.kind,
        "url": prompt.url,
        "complete_url": prompt.complete_url,
        "user_code": prompt.user_code,
        "expires_in": round(prompt.expires_in),
        "note": prompt.note,
    }
    print(json.dumps(event), flush=True)


def tell_failure(error: CoveyError) -> None:
    """The event that ends a `covey login --json` which fails."""
    event = {"event": "failed", "code": error.code, "sentence": sentence(str(error)), "hint": error.hint}
    print(json.dumps(event), flush=True)


def prompt_text(prompt: Prompt) -> str:
    """What to do, with the address on a line of its own, and for a machine without a browser the code, also as QR."""
    note = [sentence(prompt.note), ""] if prompt.note else []
    if prompt.kind == "browser":
        first = "Your browser opens, so that you can sign in. If it does not, open this address in it:"
        lines = [*note[:1], "", f"  {plain(prompt.url)}", ""] if note else [first, "", f"  {plain(prompt.url)}", ""]
    else:
        lines = ["To sign in, open this address in any browser, on this machine or another:", "", f"  {plain(prompt.url)}", ""]
        if prompt.user_code:
            lines += ["and type the code", "", f"  {plain(prompt.user_code)}", ""]
        lines += [*note, *_qr(prompt.complete_url)]
    minutes = f"{max(1, round(prompt.expires_in / 60))} min"
    return "\n".join([*lines, f"Waiting for you, {minutes} at most. Ctrl-C gives up."])


def _qr(url: str) -> list[str]:
    """The address as lines that a phone can read off the terminal; none if it is too long for that."""
    import segno

    drawn = io.StringIO()
    try:
        segno.make(url, error="l", micro=False).terminal(out=drawn, border=2, compact=True)
    except ValueError:
        return []
    return drawn.getvalue().splitlines()


def _has_key(request: UpRequest) -> bool:
    return request.setup_key is not None or (request.join_link is not None and bool(JoinLink.parse(request.join_link).setup_key))


def _say(status: StatusDocument, words: str, as_json: bool) -> None:
    print(json.dumps({"event": "signed-in", "email": status["email"]}) if as_json else words, flush=True)
