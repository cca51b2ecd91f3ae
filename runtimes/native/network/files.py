"""What a sandbox's /etc/hosts and /etc/resolv.conf say."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from cri.v1 import api_pb2 as v1
from runtimes.native.network.attachment import Attachment

_HOSTS = Path("/etc/hosts")
_RESOLV_CONF = Path("/etc/resolv.conf")
_BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")
"""Where systemd-resolved writes whom it asks itself. What stands in /etc/resolv.conf then is an address of loopback."""

_LOOPBACK = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(config: v1.PodSandboxConfig, attachment: Attachment, hostname: str) -> str:
    """Loopback, the sandbox by its name, extra hosts; on the host's network the host's own file and extra hosts."""
    extra = "".join(f"{address}\t{name}\n" for name, address in attachment.extra_hosts)
    if attachment.netns is None:
        return _text(_HOSTS) + extra
    addresses = [each for each in (attachment.ip, *attachment.additional_ips) if each] or ["127.0.0.1"]
    return _LOOPBACK + "".join(f"{address}\t{hostname}\n" for address in addresses) + extra


def resolv_conf(config: v1.PodSandboxConfig, attachment: Attachment) -> str:
    """Servers, searches and options of the config; each as the host has it where the config says nothing of any, but
    searches and options of the host only together with its servers.

    On a network with names of its own the server is the network's, which asks the others.
    """
    dns = config.dns_config
    servers, searches, options = list(dns.servers), list(dns.searches), list(dns.options)
    if not servers:
        host = host_resolver(reachable=attachment.netns is None)
        servers, searches, options = host.servers, searches or host.searches, options or host.options
    return _lines(attachment.dns or servers, searches, options)


class Resolver:
    """What a resolv.conf says."""

    def __init__(self, text: str) -> None:
        words = [line.split() for line in text.splitlines() if line.strip() and line[0] not in "#;"]
        self.servers = [line[1] for line in words if line[0] == "nameserver" and len(line) > 1]
        self.searches = next((line[1:] for line in reversed(words) if line[0] in ("search", "domain")), [])
        self.options = [option for line in words if line[0] == "options" for option in line[1:]]


def host_resolver(*, reachable: bool) -> Resolver:
    """The host's. Servers on its loopback are told only where they are ``reachable``."""
    found = Resolver(_text(_RESOLV_CONF))
    if reachable:
        return found
    if found.servers and all(map(_is_loopback, found.servers)):
        found = Resolver(_text(_BEHIND_STUB) or _text(_RESOLV_CONF))
    found.servers = [server for server in found.servers if not _is_loopback(server)]
    return found


def _lines(servers: Iterable[str], searches: Iterable[str], options: Iterable[str]) -> str:
    lines = [f"nameserver {server}\n" for server in servers]
    for word, values in (("search", searches), ("options", options)):
        if joined := " ".join(values):
            lines.append(f"{word} {joined}\n")
    return "".join(lines)


def _is_loopback(server: str) -> bool:
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _text(path: Path) -> str:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return text if text.endswith("\n") or not text else text + "\n"
