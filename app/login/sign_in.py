"""One sign-in, from flow to tokens."""

from app.login.prompt import OnPrompt
from app.login.tokens import Tokens
from protocol.errors import SignInNotOffered
from protocol.sign_in import SignInFlow


class SignIn:
    """Signs a person in at an OpenID provider."""

    async def run(self, flow: SignInFlow, *, on_prompt: OnPrompt, browser: bool) -> Tokens:
        """Walk through one of the flows; cancelling gives up and leaves nothing behind.

        Args:
            on_prompt: told what the person has to do; a second time when another way is gone.
            browser: whether one may be opened here (`app.login.browser.is_there()`).
        Raises:
            SignInGivenUp: nobody signed in, or the person said no.
            SignInRefused, SignInUnavailable, CertificateMismatch, CertificateUntrusted: as they say.
        """
        raise SignInNotOffered("This app can't sign in by a browser.")
