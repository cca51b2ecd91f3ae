"""What is known of each sandbox and container, as rows of the state file. A row is written before the first effect of
making a thing, and goes after the last effect of removing it; ``phase`` says how far that has come."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, Self, TypeVar

from cri.v1 import api_pb2 as v1
from runtimes.native.database import Database

SCHEMA = """
create table if not exists sandboxes (
    id text primary key,
    name text not null unique,
    phase text not null,
    created_ns integer not null,
    finished_ns integer not null default 0,
    request blob not null,
    cgroup text not null default '',
    addresses text not null default '[]',
    init_pid integer not null default 0,
    resources blob not null default x''
);
create table if not exists containers (
    id text primary key,
    name text not null unique,
    sandbox_id text not null references sandboxes (id),
    phase text not null,
    created_ns integer not null,
    started_ns integer not null default 0,
    finished_ns integer not null default 0,
    request blob not null,
    image_id text not null default '',
    pid integer not null default 0,
    monitor_pid integer not null default 0,
    cgroup text not null default '',
    exit_code integer not null default 0,
    reason text not null default '',
    message text not null default '',
    user blob not null default x'',
    stop_signal text not null default '',
    resources blob not null default x''
);
create index if not exists containers_of_sandbox on containers (sandbox_id);
"""

_KEPT = 4096
"""Requests that stay parsed."""


class Phase(StrEnum):
    """How far a life has come. Of sandboxes: making, ready, stopping, stopped, removing. What is being made is nobody's
    yet."""

    MAKING = "making"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """One sandbox. The messages are shared: nobody may change them."""

    id: str
    name: str
    phase: Phase
    created_ns: int
    request: v1.RunPodSandboxRequest
    finished_ns: int = 0
    cgroup: str = ""
    addresses: tuple[str, ...] = ()
    init_pid: int = 0
    resources: bytes = b""  # an UpdatePodSandboxResourcesRequest, empty until there was one

    @property
    def config(self) -> v1.PodSandboxConfig:
        return self.request.config


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """One container. The messages are shared: nobody may change them. ``request`` lacks the values of environment
    variables, and has of the sandbox's config what logs and names need."""

    id: str
    name: str
    sandbox_id: str
    phase: Phase
    created_ns: int
    request: v1.CreateContainerRequest
    started_ns: int = 0
    finished_ns: int = 0
    image_id: str = ""
    pid: int = 0
    monitor_pid: int = 0
    cgroup: str = ""  # its folders, as ``cgroup_places`` writes them
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    user: bytes = b""  # a LinuxContainerUser
    stop_signal: str = ""
    resources: bytes = b""  # LinuxContainerResources

    @property
    def config(self) -> v1.ContainerConfig:
        return self.request.config


class Record(Protocol):
    """A row."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """The rows of one kind."""

    def __init__(self, database: Database, name: str, kind: type[R], request: type[Any]) -> None:
        self._database = database
        self._name = name
        self._kind = kind
        self._request = request
        self._columns = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        self._parsed: OrderedDict[str, Any] = OrderedDict()

    @classmethod
    def sandboxes(cls, database: Database) -> Table[SandboxRecord]:
        return Table(database, "sandboxes", SandboxRecord, v1.RunPodSandboxRequest)

    @classmethod
    def containers(cls, database: Database) -> Table[ContainerRecord]:
        return Table(database, "containers", ContainerRecord, v1.CreateContainerRequest)

    def insert(self, record: R) -> None:
        """Raises sqlite3.IntegrityError when the id or the name is taken, or the sandbox is not there."""
        marks = ", ".join("?" * len(self._columns))
        values = [_plain(getattr(record, column)) for column in self._columns]
        with self._database.write() as connection:
            connection.execute(
                f"insert into {self._name} ({', '.join(self._columns)}) values ({marks})",  # noqa: S608
                values,
            )

    def get(self, record_id: str) -> R | None:
        found = self._select("where id = ?", record_id)
        return found[0] if found else None

    def named(self, name: str) -> R | None:
        found = self._select("where name = ?", name)
        return found[0] if found else None

    def all(self) -> list[R]:
        """Oldest first."""
        return self._select("order by created_ns, id")

    def where(self, column: str, value: str) -> list[R]:
        """Those with this value, oldest first."""
        assert column in self._columns
        return self._select(f"where {column} = ? order by created_ns, id", value)

    def update(self, record_id: str, phases: Collection[Phase], **changes: Any) -> bool:
        """Change the row if it is in one of ``phases`` now; whether it was."""
        assert changes.keys() <= set(self._columns)
        sets = ", ".join(f"{column} = ?" for column in changes)
        marks = ", ".join("?" * len(phases))
        values = [*map(_plain, changes.values()), record_id, *map(str, phases)]
        with self._database.write() as connection:
            done = connection.execute(
                f"update {self._name} set {sets} where id = ? and phase in ({marks})",  # noqa: S608
                values,
            )
            return done.rowcount > 0

    def delete(self, record_id: str) -> None:
        """Nothing there is fine."""
        with self._database.write() as connection:
            connection.execute(f"delete from {self._name} where id = ?", (record_id,))  # noqa: S608
        self._parsed.pop(record_id, None)

    def _select(self, clause: str, *values: str) -> list[R]:
        query = f"select {', '.join(self._columns)} from {self._name} {clause}"  # noqa: S608
        return [self._record(row) for row in self._database.rows(query, values)]

    def _record(self, row: sqlite3.Row) -> R:
        values = {column: row[column] for column in self._columns}
        values["phase"] = Phase(values["phase"])
        values["request"] = self._parse(values["id"], values["request"])
        if "addresses" in values:
            values["addresses"] = tuple(json.loads(values["addresses"]))
        return self._kind(**values)

    def _parse(self, record_id: str, data: bytes) -> Any:
        known = self._parsed.get(record_id)
        if known is None:
            known = self._parsed[record_id] = self._request.FromString(data)
            if len(self._parsed) > _KEPT:
                self._parsed.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class Records:
    """Both tables."""

    sandboxes: Table[SandboxRecord]
    containers: Table[ContainerRecord]

    @classmethod
    def of(cls, database: Database) -> Self:
        return cls(Table.sandboxes(database), Table.containers(database))

    def members(self, sandbox_id: str) -> list[ContainerRecord]:
        """The containers of a sandbox, in any phase."""
        return self.containers.where("sandbox_id", sandbox_id)


def _plain(value: Any) -> Any:
    """As SQLite takes it."""
    if isinstance(value, tuple):
        return json.dumps(value)
    if isinstance(value, StrEnum):
        return str(value)
    return value.SerializeToString() if hasattr(value, "SerializeToString") else value
