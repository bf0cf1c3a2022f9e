"""Who signed in, for people to read. Pure.

Nothing is verified here: the token is for the server, which has done so before what we read is shown.
"""

import base64
import binascii
import json

from helper.settings import MAX_EMAIL

NAMES = ("email", "preferred_username", "name", "sub")  # OpenID Connect Core 1.0, section 5.1; the first that is there


def email_of(jwt: str) -> str:
    """The e-mail address or another name of the person that a JWT speaks of: printable, of bounded length, perhaps empty."""
    _, _, rest = jwt.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return ""
    if not isinstance(claims, dict):
        return ""
    texts = (claims.get(name) for name in NAMES)
    found = ("".join(filter(str.isprintable, text)).strip() for text in texts if isinstance(text, str))
    return next((text for text in found if text), "")[:MAX_EMAIL]
