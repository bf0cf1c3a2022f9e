"""Which addresses may reach us through the relay, and when to say so again. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.addresses import IPAddress

REFRESH_AFTER = 240.0  # seconds; a permission lasts 300 (RFC 8656, section 9)
REFRESH_TOGETHER = 120.0  # seconds; what is due this soon goes along
REFUSED_FOR = 60.0  # seconds until we ask for a refused address again; ours
BATCH = 30  # addresses in one CreatePermission: 720 bytes at most, whatever the path's MTU


@dataclass(slots=True)
class _Permission:
    due: float  # when to ask for it, infinite while an answer is awaited
    is_granted: bool = False
    is_asked_alone: bool = False  # a batch with it was refused as a whole


class Permissions:
    def __init__(self) -> None:
        self._permissions: dict[IPAddress, _Permission] = {}

    def want(self, ip: IPAddress, now: float) -> None:
        if ip not in self._permissions:
            self._permissions[ip] = _Permission(due=now)

    def forget(self, ip: IPAddress) -> None:
        """Ask no more for it. The server drops it by itself when 5 minutes are over."""
        self._permissions.pop(ip, None)

    def is_wanted(self, ip: IPAddress) -> bool:
        return ip in self._permissions

    def is_granted(self, ip: IPAddress) -> bool:
        permission = self._permissions.get(ip)
        return permission is not None and permission.is_granted

    def take_due(self, now: float) -> list[tuple[IPAddress, ...]]:
        """The addresses to ask for now, grouped into requests."""
        due = [ip for ip, permission in self._permissions.items() if permission.due <= now]
        if not due:
            return []
        horizon = now + REFRESH_TOGETHER
        due += [ip for ip, permission in self._permissions.items() if now < permission.due <= horizon and permission.is_granted]
        alone = [ip for ip in due if self._permissions[ip].is_asked_alone]
        together = [ip for ip in due if not self._permissions[ip].is_asked_alone]
        for ip in due:
            self._permissions[ip].due = math.inf
        return [(ip,) for ip in alone] + [tuple(together[i : i + BATCH]) for i in range(0, len(together), BATCH)]

    def grant(self, ips: Iterable[IPAddress], now: float) -> None:
        for permission in self._known(ips):
            permission.is_granted, permission.due = True, now + REFRESH_AFTER

    def refuse(self, ips: tuple[IPAddress, ...], now: float) -> None:
        """The server said no. To several addresses at once that may mean only one of them, so each is tried alone."""
        for permission in self._known(ips):
            if len(ips) > 1:
                permission.is_asked_alone, permission.due = True, now
            else:
                permission.is_granted, permission.due = False, now + REFUSED_FOR

    def ask_again(self, ips: Iterable[IPAddress], now: float) -> None:
        """There was no answer."""
        for permission in self._known(ips):
            permission.due = now

    @property
    def deadline(self) -> float:
        return min((permission.due for permission in self._permissions.values()), default=math.inf)

    def _known(self, ips: Iterable[IPAddress]) -> list[_Permission]:
        return [self._permissions[ip] for ip in ips if ip in self._permissions]
