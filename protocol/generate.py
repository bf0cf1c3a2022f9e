"""Make protocol/generated/ from the .proto files: `python -m protocol.generate` (part of `make setup`)."""

import os
import pathlib
import sys

from grpc_tools import protoc

ROOM = pathlib.Path(__file__).parent


def main() -> int:
    """Generate messages, services and their type stubs; the exit code is protoc's."""
    target = ROOM / "generated"
    target.mkdir(exist_ok=True)
    (target / "__init__.py").touch()
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    names = [f"protocol/generated/{proto.name}" for proto in sorted(ROOM.glob("*.proto"))]
    os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"  # the mypy plug-ins live beside python
    kinds = ("python", "grpc_python", "mypy", "mypy_grpc")
    outputs = [f"--{kind}_out={'quiet:' if 'mypy' in kind else ''}{ROOM.parent}" for kind in kinds]
    return int(protoc.main(["protoc", f"-Iprotocol/generated={ROOM}", f"-I{well_known}", *outputs, *names]))


if __name__ == "__main__":
    sys.exit(main())
