"""Netavark's rules in the firewall, and their removal by the addresses that they are about.

A network has chains of its own, NETAVARK-… and NETAVARK-DN-…; all networks share a few more, which go with the last.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network

_SHARED = re.compile(r"NETAVARK(_\w+|-HOSTPORT-\w+)")
_OF_NETWORK = re.compile(r"NETAVARK-(DN-)?[0-9A-F]+")
_ADDRESS = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]+|\d+\.\d+\.\d+\.\d+")
_TIMEOUT = 30.0


def unpublish(subnets: Iterable[Network], *, last: bool) -> None:
    """Remove the rules for addresses of `subnets` with their chains; for the `last` engine the shared chains too, if
    nothing is in them. Another one may be about to use them."""
    wanted = tuple(subnets)
    for command in _tables():
        own = {word for rule in _rules(command) if _is_about(rule, wanted) for word in _words(rule, _OF_NETWORK)}
        _remove(command, own, lambda rule: _is_about(rule, wanted))
        if last:
            _forget_shared(command)


def forget_idle() -> None:
    """Remove the chains that netavark itself leaves of networks without containers. For when no engine is at work."""
    for command in _tables():
        words = [word for rule in _rules(command) for word in _words(rule, _OF_NETWORK)]
        _remove(command, {word for word in words if words.count(word) == 1})
        _forget_shared(command)


def _tables() -> Iterator[tuple[str, ...]]:
    """The commands for the tables that netavark writes to."""
    for name in ("iptables", "ip6tables"):
        program = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin")
        for table in ("nat", "filter") if program else ():
            yield str(program), "--wait", "--table", table


def _forget_shared(command: tuple[str, ...]) -> None:
    if not any(_words(rule, _OF_NETWORK) or _ADDRESS.search(rule) for rule in _netavark(command)):
        _remove(command, {word for rule in _rules(command) for word in _words(rule, _SHARED)})


def run(*command: str) -> str:
    """What a command prints. Raises OSError with what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _is_about(rule: str, subnets: tuple[Network, ...]) -> bool:
    addresses = [ipaddress.ip_address(text) for text in _ADDRESS.findall(rule) if _is_address(text)]
    return any(address in subnet for address in addresses for subnet in subnets)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _words(rule: str, pattern: re.Pattern[str]) -> list[str]:
    return [word for word in rule.split() if pattern.fullmatch(word)]


def _netavark(command: tuple[str, ...]) -> list[str]:
    """The rules in netavark's chains, and those that lead there."""
    return [rule for rule in _rules(command) if "NETAVARK" in rule and not re.search(r" (127\.|224\.|ff00:)", rule)]


def _remove(command: tuple[str, ...], chains: set[str], ours: Callable[[str], bool] = lambda rule: False) -> None:
    """Remove the rules that are `ours` or lead to `chains`, then these."""
    for rule in _rules(command):
        if rule.startswith("-A ") and (ours(rule) or rule.split()[-1] in chains):
            run(*command, "--delete", *shlex.split(rule)[1:])
    for chain in sorted(chains):
        run(*command, "--flush", chain)
    for chain in sorted(chains):
        run(*command, "--delete-chain", chain)


def _rules(command: tuple[str, ...]) -> list[str]:
    return run(*command, "--list-rules").splitlines()
