"""Reads the XML of strangers: no doctype, no entities of its own, bounded depth and number of elements. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_DEPTH = 32
MAX_ELEMENTS = 4000


@dataclass(slots=True)
class Element:
    """`name` is the local one, without its namespace."""

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Element"]:
        """Every element of this name, however deep, in the document's order."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)

    def value(self, name: str) -> str:
        """The text of the first element of this name; empty if there is none."""
        return next((found.text.strip() for found in self.all(name)), "")


def read_xml(data: bytes) -> Element:
    """Read a document; the element returned holds its root. Raises ValueError."""
    top = Element("")
    path = [top]
    count = 0

    def start(name: str, _: object) -> None:
        nonlocal count
        count += 1
        if len(path) > MAX_DEPTH or count > MAX_ELEMENTS:
            raise ValueError("the document is too large")
        element = Element(name.rpartition(":")[2])
        path[-1].children.append(element)
        path.append(element)

    def text(data: str) -> None:
        path[-1].text += data

    def refuse(*_: object) -> None:
        raise ValueError("the document has a doctype")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, lambda _: path.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"it is no XML: {error}") from None
    return top
