"""How our own provider is called. Pure."""

from protocol.join_link import ServerLocation

CLIENT_ID = "covey"  # the one client; also the audience of its ID tokens
SCOPES = ("openid", "profile", "email", "offline_access")

PREFIX = "/oauth2"
AUTHORIZATION, TOKEN, KEYS = f"{PREFIX}/auth", f"{PREFIX}/token", f"{PREFIX}/keys"
DEVICE_AUTHORIZATION, DEVICE_PAGE = f"{PREFIX}/device/code", f"{PREFIX}/device"
SIGN_IN, CONSENT, SIGN_OUT = f"{PREFIX}/sign-in", f"{PREFIX}/consent", f"{PREFIX}/sign-out"
DISCOVERY = f"{PREFIX}/.well-known/openid-configuration"
WELCOME = "/welcome"

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628, section 3.4


def origin_of(location: ServerLocation) -> str:
    """The server's address as browsers write it: the port left out where it is the scheme's own."""
    default = ":443" if location.tls else ":80"
    return location.url.removesuffix(default)


def issuer_of(location: ServerLocation) -> str:
    """The `iss` of our ID tokens: `https://203.0.113.10/oauth2`."""
    return origin_of(location) + PREFIX


def discovery_document(issuer: str) -> dict[str, object]:
    """What clients read to find everything else (OpenID Connect Discovery 1.0, section 3)."""
    origin = issuer.removesuffix(PREFIX)
    return {
        "issuer": issuer,
        "authorization_endpoint": origin + AUTHORIZATION,
        "token_endpoint": origin + TOKEN,
        "jwks_uri": origin + KEYS,
        "device_authorization_endpoint": origin + DEVICE_AUTHORIZATION,
        "end_session_endpoint": origin + SIGN_OUT,
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "email", "name"],
        "authorization_response_iss_parameter_supported": True,  # RFC 9207
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
