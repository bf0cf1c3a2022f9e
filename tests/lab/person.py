"""A person with an account at the server, and what they do in a browser."""

import sys
from dataclasses import dataclass

from tests.lab.desktop import Desktop
from tests.lab.node import LabError, Node
from tests.lab.programs import BIN, Server

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    email: str
    password: str = PASSWORD

    @classmethod
    def added(cls, server: Server, email: str) -> "Person":
        """With `covey-server users create`, as whoever runs the server does."""
        words = ("users", "create", "--data-dir", str(server.data), "--email", email, "--password-file", "-", "--json")
        done = server.node.run(str(BIN / "covey-server"), *words, stdin=PASSWORD + "\n", check=False)
        if done.returncode:
            raise LabError(f"users create: {done.stderr}")
        return cls(email)

    def visits(self, node: Node, url: str, user_code: str, decision: str) -> str:
        """Open a page on another machine, sign in there, and decide; the title of the last page."""
        words = ("-m", "tests.lab.pages", url, self.email, user_code, decision)
        return node.run(sys.executable, *words, stdin=self.password + "\n").stdout.strip()

    def signs_in(self, desktop: Desktop) -> None:
        """Go through the pages of the browser that has opened: sign in, allow, done."""
        window = desktop.wait_window("^Sign in – Covey")
        desktop.focus(window)
        desktop.picture("sign-in-page")
        desktop.type(self.email)
        desktop.keys("Tab")
        desktop.type(self.password)
        desktop.keys("Return")
        desktop.focus(desktop.wait_window("^Connect this computer"))
        desktop.picture("consent-page")
        desktop.keys("Tab")
        desktop.keys("Return")
        desktop.gone("^Connect this computer")
        desktop.picture("back-from-the-browser")
