"""What a report tells of the system around the tunnel: outputs of its own tools, each bounded in time and size."""

import asyncio
import contextlib
import os
import platform
import shutil
import sys
from pathlib import Path

from protocol.version import VERSION

TOOL_TIMEOUT = 5.0  # seconds
MAX_OUTPUT = 500_000  # bytes of one tool
SBIN = "/usr/sbin:/sbin"

if sys.platform == "linux":
    TOOLS = {
        "interfaces.txt": ("ip", "-details", "-statistics", "address"),
        "routes.txt": ("ip", "route", "show", "table", "all"),
        "routes-ipv6.txt": ("ip", "-6", "route", "show", "table", "all"),
        "rules.txt": ("ip", "rule"),
        "rules-ipv6.txt": ("ip", "-6", "rule"),
        "neighbours.txt": ("ip", "neigh"),
        "firewall-nft.txt": ("nft", "list", "ruleset"),
        "firewall-iptables.txt": ("iptables-save",),
        "udp-sockets.txt": ("ss", "-uanp"),
        "resolved.txt": ("resolvectl", "status", "--no-pager"),
    }
elif sys.platform == "darwin":
    TOOLS = {
        "interfaces.txt": ("ifconfig", "-a"),
        "routes.txt": ("netstat", "-rn"),
        "resolver.txt": ("scutil", "--dns"),
        "firewall-pf.txt": ("pfctl", "-sr"),
    }
else:
    TOOLS = {
        "interfaces.txt": ("ipconfig", "/all"),
        "routes.txt": ("route", "print"),
    }
FILES = {"resolv.conf.txt": "/etc/resolv.conf", "os-release.txt": "/etc/os-release"}
SETTINGS = (
    *("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/disable_ipv6", "net/ipv4/ip_local_port_range"),
    *("net/ipv4/conf/all/src_valid_mark", "net/core/rmem_max", "net/core/wmem_max", "net/ipv4/ip_no_pmtu_disc"),
    *("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_udp_timeout"),
)


async def look() -> tuple[dict[str, str], dict[str, str]]:
    """Texts by the names of files, and why others are missing."""
    found, missing = {"system.txt": _system()}, dict[str, str]()
    outputs = await asyncio.gather(*(_output(words) for words in TOOLS.values()))
    for name, (text, trouble) in zip(TOOLS, outputs, strict=True):
        if text:
            found[name] = text
        if trouble:
            missing[name] = trouble
    return found | await asyncio.to_thread(_files), missing


def _files() -> dict[str, str]:
    found = {"sysctl.txt": text} if (text := _settings()) else {}
    for name, path in FILES.items():
        with contextlib.suppress(OSError):
            found[name] = Path(path).read_text(errors="replace")[:MAX_OUTPUT]
    return found


def _system() -> str:
    lines = [
        f"Covey {VERSION}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        f"system {platform.system()} {platform.release()} {platform.version()} {platform.machine()}",
        f"processors {os.cpu_count()}",
    ]
    if hasattr(os, "getloadavg"):
        lines.append("load " + " ".join(f"{one:.2f}" for one in os.getloadavg()))
    for path, name in (("/proc/uptime", "uptime in seconds"), ("/sys/module/wireguard/version", "WireGuard in the kernel")):
        with contextlib.suppress(OSError):
            lines.append(f"{name} {Path(path).read_text().split()[0]}")
    lines.append(f"TUN device {'there' if os.path.exists('/dev/net/tun') else 'not there'}")
    return "\n".join(lines) + "\n"


def _settings() -> str:
    root, lines = Path("/proc/sys"), []
    for path in (*SETTINGS, *(str(found.relative_to(root)) for found in sorted(root.glob("net/ipv4/conf/*/rp_filter")))):
        with contextlib.suppress(OSError):
            lines.append(f"{path.replace('/', '.')} = {' '.join((root / path).read_text().split())}")
    return "\n".join(lines) + "\n" if lines else ""


async def _output(words: tuple[str, ...]) -> tuple[str, str]:
    """What the tool says, and what was wrong."""
    path = shutil.which(words[0], path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if path is None:
        return "", f"{words[0]} is not installed"
    try:
        process = await asyncio.create_subprocess_exec(
            path, *words[1:], stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        return "", f"{words[0]} can't be started: {error.strerror}"
    try:
        async with asyncio.timeout(TOOL_TIMEOUT):
            assert process.stdout is not None
            data = b""
            while len(data) < MAX_OUTPUT and (piece := await process.stdout.read(65536)):
                data += piece
            if len(data) < MAX_OUTPUT:
                await process.wait()
    except TimeoutError:
        return "", f"{words[0]} did not answer within {TOOL_TIMEOUT:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    trouble = f"{words[0]} ended with {process.returncode}" if process.returncode and len(data) < MAX_OUTPUT else ""
    return data.decode(errors="replace"), trouble
