"""Sandboxes on a network of CNI plug-ins: ADD, CHECK and DEL, and what was answered, kept on disk."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cri.errors import CRIError, FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native import programs, stragglers
from runtimes.native.database import Database
from runtimes.native.locks import Locks
from runtimes.native.network import attachment, cni_config, inside, links, namespaces
from runtimes.native.network.attachment import Attachment
from runtimes.native.network.cni_config import Conflist, Json
from runtimes.native.network.plan import Plan

SCHEMA = """
create table if not exists cni_attachments (
    sandbox_id text primary key,
    call text not null,
    result text not null,
    facts text not null
) without rowid;
"""

_UNSETTLED = "null"
"""The facts of what is being made or taken back."""

_SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""For the plug-ins, some of which run others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """What the plug-ins of a network are told about a sandbox, the same at each command."""

    sandbox_id: str
    netns: str
    arguments: str
    conflist: Conflist
    wishes: Json

    def environment(self, command: str) -> dict[str, str]:
        # Without a namespace a plug-in gives back what it has outside of a sandbox that is gone.
        is_there = command != "DEL" or Path(self.netns).exists()
        return {
            "PATH": _SEARCH,
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.sandbox_id,
            "CNI_NETNS": self.netns if is_there else "",
            "CNI_IFNAME": links.INSIDE,
            "CNI_ARGS": self.arguments,
        }

    def to_json(self) -> str:
        return json.dumps(
            {
                "netns": self.netns,
                "arguments": self.arguments,
                "conflist": self.conflist.to_json(),
                "wishes": self.wishes,
            }
        )

    @classmethod
    def of_row(cls, row: sqlite3.Row) -> _Call:
        read = json.loads(row["call"])
        conflist = cni_config.parse(read["conflist"])
        return cls(row["sandbox_id"], read["netns"], read["arguments"], conflist, read["wishes"])


class Cni:
    """Of one engine."""

    def __init__(
        self, database: Database, locks: Locks, config_dir: str, bin_dirs: Sequence[str], timeout: float
    ) -> None:
        self._database = database
        self._locks = locks
        self._config_dir = Path(config_dir)
        self._path = os.pathsep.join(bin_dirs)
        self._timeout = timeout

    async def attach(self, sandbox_id: str, config: v1.PodSandboxConfig, plan: Plan, netns: Path) -> Attachment:
        """Whatever fails leaves what there is to ``detach``. Raises FailedPrecondition with a plug-in's own words,
        InvalidArgument for what no plug-in can do, Unimplemented for a plug-in that is not there."""
        await self.detach(sandbox_id)
        conflist = cni_config.load(self._config_dir)
        wishes = cni_config.wishes(plan)
        conflist.check_wishes(wishes)
        call = _Call(sandbox_id, str(netns), cni_config.arguments(sandbox_id, config), conflist, wishes)
        await namespaces.within(netns, inside.loopback)
        with self._database.write() as connection:
            values = (sandbox_id, call.to_json(), "null", _UNSETTLED)
            connection.execute("insert into cni_attachments values (?, ?, ?, ?)", values)
        result: Json | None = None
        for plugin in conflist.plugins:
            result = await self._run("ADD", call, plugin, result)
        made = self._attachment(call, result or {}, plan)
        with self._database.write() as connection:
            query = "update cni_attachments set result = ?, facts = ? where sandbox_id = ?"
            connection.execute(query, (json.dumps(result), json.dumps(made.facts()), sandbox_id))
        return made

    def find(self, sandbox_id: str) -> Attachment | None:
        """What ``attach`` answered."""
        row = self._row(sandbox_id)
        facts = json.loads(row["facts"]) if row is not None else None
        return Attachment.of_facts(facts) if facts is not None else None

    async def detach(self, sandbox_id: str) -> None:
        """Safe to call twice, or for what was made by half. Raises CRIError when a plug-in fails: it may hold an
        address still, and is asked again the next time."""
        row = self._row(sandbox_id)
        if row is None:
            return
        call, result = _Call.of_row(row), json.loads(row["result"])
        if row["facts"] == _UNSETTLED:
            # What goes on without its caller, or a helper of it, would make something when all is taken back, or be in
            # the way of who takes it back.
            await stragglers.see_out(partial(stragglers.with_variable, "CNI_CONTAINERID", sandbox_id))
        else:
            self._unsettle(sandbox_id)
        for plugin in reversed(call.conflist.plugins):
            await self._run("DEL", call, plugin, result)
        with self._database.write() as connection:
            connection.execute("delete from cni_attachments where sandbox_id = ?", (sandbox_id,))

    async def check(self, sandbox_id: str) -> None:
        """Whether the network is as it was made. Raises FailedPrecondition with the words of the plug-in that sees a
        difference. Nothing for a network of a version that has no such command, or that does without."""
        row = self._row(sandbox_id)
        if row is None or row["result"] == "null":
            return
        call, result = _Call.of_row(row), json.loads(row["result"])
        if call.conflist.can_check:
            for plugin in call.conflist.plugins:
                await self._run("CHECK", call, plugin, result)

    async def recover(self, in_use: Callable[[], Collection[str]]) -> None:
        """Detach all but those ``in_use``, of which it is said who has lost their network, and those that another
        process works on."""
        with self._database.read() as connection:
            known = [row["sandbox_id"] for row in connection.execute("select sandbox_id from cni_attachments")]
        kept = in_use()
        for sandbox_id in known:
            try:
                if sandbox_id in kept:
                    await self.check(sandbox_id)
                    continue
                with self._locks.try_hold("sandbox", sandbox_id) as ours:
                    if ours:
                        await self.detach(sandbox_id)
            except CRIError as error:
                _log.warning("the CNI network of sandbox %s is not in order: %s", sandbox_id, error.message)

    async def _run(self, command: str, call: _Call, plugin: Json, previous: Json | None) -> Json | None:
        program = shutil.which(plugin["type"], path=self._path)
        if program is None:
            raise Unimplemented(f"the CNI plug-in {plugin['type']} is not in {self._path.replace(os.pathsep, ', ')}")
        environment = call.environment(command) | {"CNI_PATH": self._path}
        told = json.dumps(call.conflist.config(plugin, call.wishes, previous)).encode()
        ended = await programs.run([program], timeout=self._timeout, environment=environment, stdin=told)
        if ended.code:
            raise FailedPrecondition(f"CNI {command} by {plugin['type']}: {_words(ended)}")
        return _read(ended.stdout) if command == "ADD" else None

    def _attachment(self, call: _Call, result: Json, plan: Plan) -> Attachment:
        try:
            given = cni_config.addresses(result, links.INSIDE)
        except (ValueError, KeyError, TypeError) as error:
            raise FailedPrecondition(f"the CNI network {call.conflist.name!r} answers nonsense: {error}") from error
        ips = [str(interface.ip) for interface, _ in given]
        host = next((gateway for _, gateway in given if gateway), "")
        return Attachment(
            Path(call.netns),
            ips[0] if ips else "",
            tuple(ips[1:]),
            extra_hosts=attachment.extra_hosts(plan.request, host),
            host=host,
            network=plan.network,
        )

    def _unsettle(self, sandbox_id: str) -> None:
        with self._database.write() as connection:
            query = "update cni_attachments set facts = ? where sandbox_id = ?"
            connection.execute(query, (_UNSETTLED, sandbox_id))

    def _row(self, sandbox_id: str) -> sqlite3.Row | None:
        with self._database.read() as connection:
            query = "select * from cni_attachments where sandbox_id = ?"
            row: sqlite3.Row | None = connection.execute(query, (sandbox_id,)).fetchone()
        return row


def _read(output: bytes) -> Json:
    try:
        read: Any = json.loads(output or b"{}")
    except ValueError as error:
        raise FailedPrecondition(f"a CNI plug-in answers what is no JSON: {output[:200]!r}") from error
    return read if isinstance(read, dict) else {}


def _words(ended: programs.Ended) -> str:
    """A plug-in tells its failure in JSON, on its standard output."""
    try:
        said = json.loads(ended.stdout)
        return ": ".join(filter(None, (str(said["msg"]), str(said.get("details") or ""))))
    except (ValueError, KeyError, TypeError):
        return ended.words
