"""A network that wants people to sign in first, as hotels do: it answers every web page by its own and lets nothing else out.

`python -m tests.lab.portal` is the page, on port 8080.
"""

import http.server
import sys

from tests.lab.node import Node, wait_for

PORT = 8080
RULES = f"""
table ip portal {{
  chain pre {{ type nat hook prerouting priority -110; iifname "lan" tcp dport 80 redirect to :{PORT}
  }}
  chain forward {{ type filter hook forward priority -20; iifname "lan" drop
  }}
}}
"""


class Portal:
    def __init__(self, router: Node) -> None:
        self._router = router
        router.script(nft=RULES)
        self._page = router.spawn("portal", sys.executable, "-m", "tests.lab.portal")
        wait_for("the page of the sign-in is there", lambda: router.listens(PORT))

    def sign_in(self) -> None:
        """Let everything out from now on."""
        self._router.script(nft="delete table ip portal")
        self._page.terminate()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://login.hotel.example/")
        self.end_headers()

    do_HEAD = do_GET


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), _Page).serve_forever()
