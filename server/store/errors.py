"""What can go wrong with stored things, in sentences for people."""

from protocol.errors import CoveyError


class NoServerHere(CoveyError):
    code = "no-server-here"
    hint = "Give the folder that `covey-server up --data-dir` uses."


class DataFolderUnusable(CoveyError):
    code = "data-folder-unusable"
    hint = "Run it as the user that `covey-server up` runs as, or give another --data-dir."


class SystemRefuses(CoveyError):
    code = "system-refuses"
    hint = "Is the disk full (`df -h`), or does the file belong to another user?"


class DatabaseUnusable(CoveyError):
    code = "database-unusable"
    hint = "Is the disk full (`df -h`), or is another program at the database? Then try again."


class DatabaseUnreadable(CoveyError):
    code = "database-unreadable"
    hint = "Put back a copy of covey.db; one is kept beside it from before the last upgrade (covey.db.REVISION.backup)."


class DatabaseTooNew(CoveyError):
    code = "database-too-new"
    hint = "Install the newer version again, or put back the copy of covey.db from before the upgrade."


class ServerOutdated(CoveyError):
    code = "server-outdated"
    hint = "Restart covey-server first; it then upgrades its database."


class ManagementKeyUnreadable(CoveyError):
    code = "management-key-unreadable"
    hint = "Put management.key back from a copy; or delete it: machines that are connected then reconnect by themselves."


class NoSuchPeer(CoveyError):
    code = "no-such-peer"
    hint = "See `covey-server peers list`."


class NoSuchSetupKey(CoveyError):
    code = "no-such-setup-key"
    hint = "See `covey-server setup-keys list`."


class NoSuchUser(CoveyError):
    code = "no-such-user"
    hint = "See `covey-server users list`."


class EmailTaken(CoveyError):
    code = "email-taken"
    hint = "Take another address, or give that person a new password: `covey-server users reset-password EMAIL`."


class AddressesUsedUp(CoveyError):
    code = "addresses-used-up"
    hint = "Remove machines that are gone: `covey-server peers remove NAME`."


class NetworkRangeRefused(CoveyError):
    code = "network-range-refused"
    hint = "Choose a range that no interface or route of this machine uses, such as 100.92.0.0/16."
