"""What a NAT does to UDP and TCP, told from inside and outside without any of Covey: `answer`, `ask`, `echo`, `call IP PORT`.

`answer` runs on the lab's server and tells every asker which address it is seen from, if asked so from another address. `ask`
prints as JSON what that says about the NAT in front of us. `echo` sends back what reaches its mapped address, `call` tries one.
"""

import json
import selectors
import socket
import sys

SERVER, SERVER_OTHER = "203.0.113.10", "203.0.113.11"
PORT, OTHER_PORT, WEB_PORT, OUR_PORT = 3478, 9999, 443, 51820
PATIENCE = 0.25  # seconds that an answer may take
Address = tuple[str, int]


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
                elsewhere = {b"stranger": (SERVER_OTHER, OTHER_PORT), b"port": (asked[0], OTHER_PORT)}
                sockets[elsewhere.get(question, asked)].sendto(json.dumps(source).encode(), source)


def our_socket() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(("", OUR_PORT))
    endpoint.settimeout(PATIENCE)
    return endpoint


def heard(endpoint: socket.socket, question: bytes, server: str) -> Address | None:
    """Ask a server where it sees us, and take the answer only from where the question wants it to come."""
    expected = {b"stranger": (SERVER_OTHER, OTHER_PORT), b"port": (server, OTHER_PORT)}.get(question, (server, PORT))
    for _ in range(2):
        endpoint.sendto(question, (server, PORT))
        try:
            while True:
                data, source = endpoint.recvfrom(100)
                if source == expected:
                    host, port = json.loads(data)
                    return host, port
        except OSError:  # silence, or an ICMP error
            continue
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
        stranger, port = heard(endpoint, b"stranger", SERVER), heard(endpoint, b"port", SERVER)  # before we know the other one
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
        endpoint.settimeout(20)
        while True:
            data, source = endpoint.recvfrom(100)
            endpoint.sendto(data, source)


def call(host: str, port: str) -> int:
    with our_socket() as endpoint:
        heard(endpoint, b"who", SERVER)
        for _ in range(2):
            endpoint.sendto(b"hello", (host, int(port)))
            try:
                return 0 if endpoint.recv(100) == b"hello" else 1
            except OSError:
                continue
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
