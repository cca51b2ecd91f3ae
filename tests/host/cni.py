"""What CNI plugins and containerd's CRI keep outside of a slot, and its removal: results, port rules, cgroups' parent.

The parents (`/var/lib/cni`, portmap's chains, the cgroup `k8s.io`) are shared with every other containerd of the
host. They go when nothing is in them and no other containerd of ours lives, which might be about to use them.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.host.names import Names

RESULTS = Path("/var/lib/cni/results")
"""Compiled into the library: what each plugin answered, by network, container and interface."""

CGROUP_PARENT = "k8s.io"
"""Where the CRI plugin puts the cgroups of sandboxes that name no parent."""

_CHAINS = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ")
_TIMEOUT = 30.0


def containers(names: Names) -> list[str]:
    """The ids of the sandboxes and containers of the slot's containerd, if it had one."""
    return [path.name for path in names.path.glob("containerd/io.containerd.grpc.v1.cri/*/*")]


def forget(names: Names, ids: Iterable[str]) -> None:
    """Remove what the slot's containerd, whose containers are `ids`, has outside of the slot."""
    if not (names.path / "containerd").exists():
        return
    network = names.bridge
    for pattern in (f"{network}-*", *(f"cni-loopback-{each}-*" for each in ids)):
        for result in RESULTS.glob(pattern):
            result.unlink(missing_ok=True)
    program = shutil.which("iptables", path="/usr/sbin:/sbin:/usr/bin")
    nat = [program, "--wait", "--table", "nat"] if program else []
    if nat:
        _unpublish(nat, network)
    if any(other.parent != names.path for other in names.path.parents[1].glob("minicri-*/*/containerd")):
        return
    for directory in (RESULTS, RESULTS.parent, *Path("/sys/fs/cgroup").glob(f"*/{CGROUP_PARENT}")):
        with contextlib.suppress(OSError):  # not empty: somebody else's, or gone already
            directory.rmdir()
    if nat:
        _remove_chains(nat)


def _unpublish(nat: list[str], network: str) -> None:
    """Remove portmap's rules for pods of `network`."""
    ours = re.compile(rf'-A CNI-HOSTPORT-DNAT .*name: \\"{network}\\" .* -j (\S+)')
    for rule in _rules(nat):
        if found := ours.match(rule):
            _run(nat, "--delete", *shlex.split(rule)[1:])
            _run(nat, "--flush", found[1])
            _run(nat, "--delete-chain", found[1])


def _remove_chains(nat: list[str]) -> None:
    """Remove what portmap made for all pods, when there is none with a published port any more."""
    rules = _rules(nat)
    if f"-N {_CHAINS[0]}" not in rules or any(rule.startswith(f"-A {_CHAINS[0]} ") for rule in rules):
        return
    for rule in rules:
        if rule.startswith("-A ") and rule.split()[-1] in _CHAINS:
            _run(nat, "--delete", *shlex.split(rule)[1:])
    for chain in _CHAINS:
        if f"-N {chain}" in rules:
            _run(nat, "--flush", chain)
            _run(nat, "--delete-chain", chain)


def _rules(nat: list[str]) -> list[str]:
    return _run(nat, "--list-rules").splitlines()


def _run(nat: list[str], *arguments: str) -> str:
    done = subprocess.run([*nat, *arguments], capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        raise OSError(f"iptables {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
