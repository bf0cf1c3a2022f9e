"""What a NAT does to UDP and TCP, told from inside and outside without any of Covey: `answer`, `ask`, `echo`, `call IP PORT`.

`answer` runs on the lab's server and tells every asker which address it is seen from, if asked so from another address. `ask`
prints as JSON what that says about the NAT in front of us. `echo` sends back what reaches its mapped address, `call` tries one.
"""

import contextlib
import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator

SERVER, SERVER_OTHER = "203.0.113.10", "203.0.113.11"
PORT, OTHER_PORT, WEB_PORT, OUR_PORT = 3478, 9999, 443, 51820
AGAIN = 0.25  # seconds until a question is asked anew
PATIENCE = 5.0  # seconds of silence that mean no, where nothing proves that the other side is awake
ROUNDS = 2  # in which an answer stays out although the server is awake
ECHO_FOR = 300.0  # seconds
Address = tuple[str, int]
_numbers = itertools.count()


def elsewhere(question: bytes, asked: Address) -> Address | None:
    """Where the answer to a question, `KIND NUMBER`, comes from; None for what is no question."""
    kinds = {b"who": asked, b"stranger": (SERVER_OTHER, OTHER_PORT), b"port": (asked[0], OTHER_PORT)}
    return kinds.get(question.partition(b" ")[0])


def answer() -> None:
    sockets = {
        (host, port): socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for host in (SERVER, SERVER_OTHER)
        for port in (PORT, OTHER_PORT)
    }
    with selectors.DefaultSelector() as selector:
        for address, endpoint in sockets.items():
            endpoint.bind(address)
            selector.register(endpoint, selectors.EVENT_READ, address)
        listeners = [socket.create_server((SERVER, port)) for port in (WEB_PORT, PORT)]  # their backlog accepts
        while listeners:
            for key, _ in selector.select():
                asked: Address = key.data
                question, source = sockets[asked].recvfrom(100)
                if (sender := elsewhere(question, asked)) is not None:
                    sockets[sender].sendto(json.dumps([question.decode(), *source]).encode(), source)


def our_socket() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(("", OUR_PORT))
    return endpoint


def received(endpoint: socket.socket, seconds: float) -> Iterator[tuple[bytes, Address]]:
    """What comes within so many seconds; ICMP errors are passed over."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        endpoint.settimeout(left)
        try:
            found = endpoint.recvfrom(100)
        except OSError:
            continue
        yield found


def send(endpoint: socket.socket, data: bytes, address: Address) -> None:
    with contextlib.suppress(OSError):  # an ICMP error of an earlier one; this one is lost, too
        endpoint.sendto(data, address)


def heard(endpoint: socket.socket, kind: bytes, server: str) -> Address | None:
    """Ask a server where it sees us; its answer counts only if it comes from where the question wants it to come.

    Each `stranger` and `port` is followed by a `who`, whose answer a NAT lets in and the server gives later: it tells an
    answer that was kept out from one that a busy machine has not given yet.
    """
    question, control = (b"%b %d" % (name, next(_numbers)) for name in (kind, b"who"))
    deadline, rounds = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline and rounds < ROUNDS:
        send(endpoint, question, (server, PORT))
        if kind != b"who":
            send(endpoint, control, (server, PORT))
        for data, _ in received(endpoint, AGAIN):
            with contextlib.suppress(ValueError):
                answered, host, port = json.loads(data)
                if answered == question.decode():
                    return host, port
                rounds += answered == control.decode()
    return None


def opens(port: int) -> bool:
    try:
        socket.create_connection((SERVER, port), PATIENCE).close()
    except OSError:
        return False
    return True


def ask() -> None:
    with our_socket() as endpoint:
        seen = heard(endpoint, b"who", SERVER)
        stranger = port = other = None
        if seen:  # else no question gets there
            stranger, port = heard(endpoint, b"stranger", SERVER), heard(endpoint, b"port", SERVER)  # before we know the other
            other = heard(endpoint, b"who", SERVER_OTHER)
    mapping = "none" if not seen else "endpoint-independent" if seen == other else "address-and-port-dependent"
    kept_out = "address-and-port-dependent" if seen and not port else "address-dependent" if seen else "everything"
    filtering = "endpoint-independent" if stranger else kept_out
    print(
        json.dumps({"mapping": mapping, "filtering": filtering, "tcp_ports": [port for port in (WEB_PORT, PORT) if opens(port)]})
    )


def echo() -> None:
    with our_socket() as endpoint:
        print(json.dumps(heard(endpoint, b"who", SERVER)), flush=True)
        for data, source in received(endpoint, ECHO_FOR):
            if data == b"hello":  # and no late answer of the server
                send(endpoint, data, source)


def call(host: str, port: str) -> int:
    with our_socket() as endpoint:
        heard(endpoint, b"who", SERVER)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            send(endpoint, b"hello", (host, int(port)))
            if any(data == b"hello" for data, _ in received(endpoint, AGAIN)):
                return 0
    return 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["answer"]:
            answer()
        case ["ask"]:
            ask()
        case ["echo"]:
            echo()
        case ["call", host, port]:
            sys.exit(call(host, port))
        case _:
            sys.exit(__doc__)
