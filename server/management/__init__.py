"""Who is in the network and how they reach each other: logins and network maps for helpers."""

from server.management.service import ManagementService
from server.management.settings import ManagementSettings

__all__ = ["ManagementService", "ManagementSettings"]
