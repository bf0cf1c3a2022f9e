"""Signing in: what clients are told of the provider, and whose machine a token lets in."""

from dataclasses import replace

from protocol.errors import SignInNotOffered, SignInRefused
from protocol.generated.management_pb2 import DeviceAuthorizationFlow, PKCEAuthorizationFlow, ProviderConfig
from protocol.keys import PublicKey
from protocol.sign_in import Provider
from server.identity.source import SignInSource
from server.identity.verify import Person
from server.store import Peer, PeerMeta, Store, User
from server.store.people import EMBEDDED, refuse_blocked

LOGIN_FLAGS = {"login": 0, "max_age": 1, "": 2}  # by `Provider.ask_again`


def wire_config(provider: Provider) -> ProviderConfig:
    return ProviderConfig(
        ClientID=provider.client_id,
        ClientSecret=provider.client_secret,
        Audience=provider.audience,
        DeviceAuthEndpoint=provider.device_auth_endpoint,
        TokenEndpoint=provider.token_endpoint,
        Scope=provider.scope,
        UseIDToken=provider.use_id_token,
        AuthorizationEndpoint=provider.authorization_endpoint,
        RedirectURLs=provider.redirect_urls,
        DisablePromptLogin=not provider.ask_again,
        LoginFlag=LOGIN_FLAGS[provider.ask_again],
    )


class SignIn:
    def __init__(self, store: Store, source: SignInSource | None) -> None:
        """Without a source there are only setup keys."""
        self._store, self._source = store, source

    async def pkce_flow(self) -> PKCEAuthorizationFlow:
        """Raises SignInNotOffered or SignInUnavailable."""
        provider = await self._offered().provider()
        if not provider.authorization_endpoint or not provider.redirect_urls:
            raise SignInNotOffered("the provider of this server offers no sign-in by browser")
        return PKCEAuthorizationFlow(ProviderConfig=wire_config(replace(provider, device_auth_endpoint="")))

    async def device_flow(self) -> DeviceAuthorizationFlow:
        """Raises SignInNotOffered or SignInUnavailable."""
        provider = await self._offered().provider()
        if not provider.device_auth_endpoint:
            raise SignInNotOffered("the provider of this server offers no sign-in by a code", "Sign in with a browser instead.")
        without_browser = replace(provider, authorization_endpoint="", redirect_urls=())
        return DeviceAuthorizationFlow(ProviderConfig=wire_config(without_browser))

    async def let_in(self, token: str, machine: PublicKey, meta: PeerMeta) -> Peer:
        """Spend the token to let its person's machine in, or to begin its session anew.

        Raises SignInRefused, UserBlocked, ClockOff, SignInNotOffered or SignInUnavailable.
        """
        source = self._offered()
        user = await self._user(source, await source.verify(token))
        refuse_blocked(user)
        return await self._store.people.sign_in(user.id, machine, meta)

    def _offered(self) -> SignInSource:
        if self._source is None:
            raise SignInNotOffered("this server lets machines in by setup keys only")
        return self._source

    async def _user(self, source: SignInSource, person: Person) -> User:
        """Who that is here. Our own provider knows only those who were invited; of another we know whoever comes."""
        people = self._store.people
        user = await people.user_by_subject(source.issuer, person.subject)
        if user is None and source.issuer == EMBEDDED:
            raise SignInRefused("this person is not known here any more", "Ask whoever runs the server to invite you.")
        return user or await people.add_external_user(source.issuer, person.subject, person.email, person.name)
