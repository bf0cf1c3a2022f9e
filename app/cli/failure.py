"""How a person reads that something failed."""

import sys

from app.cli.words import sentence
from protocol.errors import CoveyError


def complain(error: CoveyError) -> None:
    """A sentence on standard error, its hint on the line below."""
    print(sentence(str(error)), file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)
