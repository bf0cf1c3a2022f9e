"""Signing in from the tray."""

from app.model import OnPrompt
from protocol.errors import SignInNotOffered
from protocol.sign_in import SignInFlow


async def sign_in(flow: SignInFlow, on_prompt: OnPrompt, *, anew: bool) -> str:
    """As `app.model.SignsIn` has it."""
    raise SignInNotOffered("This app can't sign in by a browser.", "Use a join link with a setup key, or `covey login`.")
