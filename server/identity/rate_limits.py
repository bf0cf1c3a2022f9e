"""How often a stranger may try. Counted in memory: a restart forgets, which is rare, and nobody else can bring it about."""

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

SIGN_INS_OF_PERSON = RateLimitItemPerMinute(10, 5, namespace="person")  # from one address, in five minutes
SIGN_INS = RateLimitItemPerMinute(100, 5, namespace="sign-in")  # from one address, whoever it is: many may share it
USER_CODES = RateLimitItemPerMinute(10, 5, namespace="user-code")  # of one person
DEVICE_CODES = RateLimitItemPerMinute(60, 5, namespace="device-code")  # from one address
TOKENS = RateLimitItemPerMinute(600, namespace="token")  # from one address; a machine that waits for a code asks 12 times
LINKS = RateLimitItemPerMinute(60, 5, namespace="link")  # passwords chosen from one address


class RateLimits:
    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def allows(self, item: RateLimitItem, *who: str) -> bool:
        """Count one more try, and say whether it was not one too many."""
        return self._limiter.hit(item, *who)

    def forget(self, item: RateLimitItem, *who: str) -> None:
        """Begin to count anew, after a success."""
        self._limiter.clear(item, *who)
