"""What a machine says of itself, cut down to what the store keeps. Pure."""

from protocol.generated.management_pb2 import PeerSystemMeta
from server.store.models import PeerMeta

MAX_HOSTNAME = 253  # RFC 1035, section 2.3.4
MAX_TEXT = 128


def meta_of(message: PeerSystemMeta) -> PeerMeta:
    """Take over the few fields that we use, each without control characters and cut to length."""
    return PeerMeta(
        hostname=clean(message.hostname, MAX_HOSTNAME),
        go_os=clean(message.goOS),
        kernel=clean(message.kernel),
        platform=clean(message.platform),
        os=clean(message.OS),
        os_version=clean(message.OSVersion or message.core),
        kernel_version=clean(message.kernelVersion),
        netbird_version=clean(message.netbirdVersion),
        ui_version=clean(message.uiVersion),
        covey_version=clean(message.coveyVersion),
    )


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """The text on one line, printable characters only, at most `limit` of them."""
    return "".join(character for character in text[: 4 * limit] if character.isprintable())[:limit].strip()
