"""What the native engine of a slot has on the host, and its removal."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cri.errors import CRIError
from runtimes.native.config import NativeConfig
from tests.host import processes
from tests.host.names import Names

T = TypeVar("T")

DIRECTORY = "native"
"""Below the slot: its presence says that the slot is, or was, a native engine's."""


def settings(names: Names) -> dict[str, Any]:
    """The configuration of the slot's engine."""
    directory = names.path / DIRECTORY
    default, pool = list(names.network.subnets(new_prefix=17))
    return {
        "root": str(directory / "root"),
        "run": str(directory / "run"),
        "cgroup_parent": f"/{names.cgroup}",
        "network": {"bridge": names.bridge, "subnet": str(default), "pool": str(pool)},
    }


def monitors(names: Names) -> set[int]:
    """The monitors of the slot's containers, by what they were told at their start."""
    if not (names.path / DIRECTORY).exists():
        return set()
    place = str(names.path / DIRECTORY / "run")
    return {pid for pid in processes.pids() if any(word.startswith(place) for word in processes.command(pid))}


def forget(names: Names) -> None:
    """Remove what the slot's engine has outside of the slot. Its processes are dead, and its mounts gone."""
    if not (names.path / DIRECTORY).exists():
        return
    try:
        beside(lambda: _forget_networks(NativeConfig.model_validate(settings(names))))
    except (CRIError, sqlite3.Error) as error:
        # Killed while it was being removed, say. The next slot is not to be kept from its work.
        print(f"the records of the engine in {names.path} are of no use any more: {error}")
        subprocess.run(["ip", "link", "delete", names.bridge], capture_output=True, timeout=60)
    if Path("/run/systemd/system").is_dir():
        # systemd makes the cgroups there, and keeps an empty slice until it is told otherwise.
        subprocess.run(["systemctl", "stop", f"{names.cgroup}.slice"], capture_output=True, timeout=60)
    shutil.rmtree(names.path / DIRECTORY)


def beside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` to its end in a loop of its own, whether or not the caller is in one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


async def _forget_networks(config: NativeConfig) -> None:
    """Its links, addresses and rules, by its own records."""
    from runtimes.native.database import Database
    from runtimes.native.locks import Locks
    from runtimes.native.network import SCHEMA, Networks
    from runtimes.native.places import Places

    places = Places.of(config)
    if not places.database.exists():
        return
    database, locks = Database(places.database, [SCHEMA]), Locks(places.locks)
    try:
        networks = Networks(config, places, database, locks)
        await networks.recover(tuple)
        await networks.close()
    finally:
        locks.close()
        database.close()
