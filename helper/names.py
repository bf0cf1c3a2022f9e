"""Looks names up without holding anything else up.

The system's resolver blocks for as long as its servers are silent, often half a minute. In the threads that asyncio shares, six
on a small machine, a few such calls keep files from being written and the program from ending. So each name is looked up in a
thread of its own that nobody waits for at the end, by one call for all who ask, and so many at a time.
"""

import asyncio
import concurrent.futures
import errno
import ipaddress
import socket
import threading

from protocol.addresses import IPAddress

AT_ONCE = 16  # names

_lock = threading.Lock()
_under_way: dict[str, concurrent.futures.Future[list[IPAddress]]] = {}


async def look_up(host: str) -> list[IPAddress]:
    """The addresses of a name or IP literal, in the order that the system prefers; those of one link alone are left out.

    Whoever gives up waiting ends nothing. Raises OSError (socket.gaierror), and ValueError for what is no name by its characters.
    """
    with _lock:
        found = _under_way.get(host)
        if found is None:
            if len(_under_way) >= AT_ONCE:
                raise socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up")
            found = concurrent.futures.Future()
            found.set_running_or_notify_cancel()  # from here on nobody's giving up cancels it for the others
            try:
                threading.Thread(target=_ask, args=(host, found), name=f"look up {host}", daemon=True).start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from None
            _under_way[host] = found
    return await asyncio.wrap_future(found)


def _ask(host: str, found: "concurrent.futures.Future[list[IPAddress]]") -> None:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        texts = dict.fromkeys(str(info[4][0]) for info in infos)
        addresses = [ipaddress.ip_address(text) for text in texts if "%" not in text]
    except Exception as error:
        _done(host)
        found.set_exception(error)
    else:
        _done(host)
        found.set_result(addresses)


def _done(host: str) -> None:
    with _lock:
        del _under_way[host]
