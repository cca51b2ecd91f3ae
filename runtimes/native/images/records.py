"""The rows of images: found by id, name or digest, recorded, forgotten. Every call is one short transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cri import references
from cri.platforms import Platform
from runtimes.native.database import Database
from runtimes.native.images.manifests import Config, config
from runtimes.shared import image_status


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image in the store. ``id`` is the digest of its config."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    """``name@digest``."""

    size: int
    """Bytes of its layers on the disk, shared ones included."""

    config: Mapping[str, Any]
    """The whole document, less its history; what a container needs is its ``config``."""

    layers: tuple[Path, ...]
    """From the lowest up."""

    platform: Platform
    used_ns: int
    """When it was last pulled or a container was last made of it."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What an image is made of; ``numbers`` are its layers', from the lowest up."""

    config: Config
    content: bytes
    numbers: Sequence[int]
    manifests: Mapping[str, bytes]
    """By digest: the manifest, and the index that it was chosen from."""

    names: Collection[str]
    """With tag or digest, normalised. A name that another image has is taken away from it."""


class Records:
    """``layers`` is the directory of the layers."""

    def __init__(self, database: Database, layers: Path) -> None:
        self._database = database
        self._layers = layers

    def add(self, arrived: Arrived) -> ImageRecord:
        """Record an image, or that one has come again."""
        now = time.time_ns()
        image_id = arrived.config.id
        with self._database.write() as connection:
            connection.execute(
                "insert into images (id, config, pulled_ns, used_ns) values (?, ?, ?, ?)"
                " on conflict (id) do update set pulled_ns = excluded.pulled_ns, used_ns = excluded.used_ns",
                (image_id, arrived.content, now, now),
            )
            connection.executemany(
                "insert or ignore into image_layers (image_id, position, layer) values (?, ?, ?)",
                [(image_id, position, number) for position, number in enumerate(arrived.numbers)],
            )
            connection.executemany(
                "insert or ignore into manifests (image_id, digest, content) values (?, ?, ?)",
                [(image_id, digest, content) for digest, content in arrived.manifests.items()],
            )
            connection.executemany(
                "insert or replace into image_names (name, image_id) values (?, ?)",
                [(name, image_id) for name in arrived.names],
            )
            return self._record(connection, image_id)

    def has(self, image_id: str) -> bool:
        with self._database.read() as connection:
            return bool(connection.execute("select 1 from images where id = ?", (image_id,)).fetchone())

    def find(self, text: str) -> ImageRecord | None:
        """The image that ``text`` names: an id, the beginning of one, a name with tag or digest. Raises
        InvalidArgument for what is none of these."""
        name = image_status.engine_name(text)
        with self._database.read() as connection:
            image_id = _named(connection, name) or _beginning(connection, name)
            if image_id is None and name == text and not references.is_image_id(text):
                image_id = _named(connection, str(references.parse(text)))  # a name that looks like an id
            return self._record(connection, image_id) if image_id else None

    def all(self) -> list[ImageRecord]:
        """Sorted by name, those without one by id."""
        with self._database.read() as connection:
            ids = [row["id"] for row in connection.execute("select id from images")]
            records = [self._record(connection, image_id) for image_id in ids]
        return sorted(records, key=lambda each: (each.tags, each.digests, each.id))

    def forget(self, image_id: str) -> None:
        """Its names and all that is known of it; its layers stay until they are swept."""
        with self._database.write() as connection:
            connection.execute("delete from images where id = ?", (image_id,))

    def forget_unused(self, image_id: str) -> None:
        """The same, unless a container is made of it or has it as a volume."""
        with self._database.write() as connection:
            connection.execute(
                "delete from images where id = ? and id not in (select image_id from snapshot_images)", (image_id,)
            )

    def manifests(self, image_id: str) -> dict[str, bytes]:
        """By digest, as they came."""
        with self._database.read() as connection:
            found = connection.execute("select digest, content from manifests where image_id = ?", (image_id,))
            return {row["digest"]: row["content"] for row in found}

    def manifest(self, digest: str) -> bytes | None:
        """A manifest or an index of any image that is here."""
        with self._database.read() as connection:
            row = connection.execute("select content from manifests where digest = ?", (digest,)).fetchone()
            return row["content"] if row else None

    def _record(self, connection: sqlite3.Connection, image_id: str) -> ImageRecord:
        row = connection.execute("select * from images where id = ?", (image_id,)).fetchone()
        layers = connection.execute(
            "select number, size from image_layers join layers on number = layer where image_id = ? order by position",
            (image_id,),
        ).fetchall()
        names = sorted(
            each["name"] for each in connection.execute("select name from image_names where image_id = ?", (image_id,))
        )
        known = config(row["config"], len(layers))
        document = {key: value for key, value in known.document.items() if key != "history"}
        return ImageRecord(
            id=image_id,
            tags=tuple(name for name in names if "@" not in name),
            digests=tuple(name for name in names if "@" in name),
            size=sum({each["number"]: each["size"] for each in layers}.values()),
            config=document,
            layers=tuple(self._layers / str(each["number"]) for each in layers),
            platform=known.platform,
            used_ns=row["used_ns"],
        )


def _named(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("select image_id from image_names where name = ?", (name,)).fetchone()
    return str(row["image_id"]) if row else None


def _beginning(connection: sqlite3.Connection, text: str) -> str | None:
    """The only image whose id begins so."""
    digits = text.removeprefix("sha256:")
    if not set(digits) <= set("0123456789abcdef"):
        return None
    between = (f"sha256:{digits}", f"sha256:{digits}g")
    found = connection.execute("select id from images where id >= ? and id < ? limit 2", between).fetchall()
    return str(found[0]["id"]) if len(found) == 1 else None
