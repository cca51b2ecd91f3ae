"""Where the engine keeps things. Pure: nothing here makes or looks at a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtimes.native.config import NativeConfig


@dataclass(frozen=True, slots=True)
class Places:
    """``root`` outlives a reboot, ``run`` does not."""

    root: Path
    run: Path

    @classmethod
    def of(cls, config: NativeConfig) -> Places:
        return cls(config.root, config.run)

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def images(self) -> Path:
        """The content store and the unpacked layers."""
        return self.root / "images"

    @property
    def layers(self) -> Path:
        """Unpacked layers, by number."""
        return self.images / "layers"

    @property
    def arrivals(self) -> Path:
        """Images on their way in."""
        return self.images / "arrivals"

    @property
    def snapshots(self) -> Path:
        """Upper layers of containers."""
        return self.root / "snapshots"

    @property
    def locks(self) -> Path:
        return self.run / "locks"

    @property
    def epoch(self) -> Path:
        """Says of which boot all that is in ``run`` is."""
        return self.run / "epoch"

    @property
    def exits(self) -> Path:
        """The monitors put a file here for each container that has ended: its name the id, its content the code."""
        return self.run / "exits"

    @property
    def names(self) -> Path:
        """What the name server of named networks reads."""
        return self.run / "names"

    @property
    def init_root(self) -> Path:
        """The root directory of the inits of sandboxes that share their processes."""
        return self.run / "init"

    @property
    def programs(self) -> Path:
        """Where the OCI runtimes are mounted, read-only."""
        return self.run / "bin"

    @property
    def filters(self) -> Path:
        """Seccomp filters that are compiled already."""
        return self.run / "filters"

    @property
    def oci_root(self) -> Path:
        """Where the OCI runtime keeps its own state."""
        return self.run / "oci"

    def namespaces(self, sandbox_id: str) -> Path:
        """Directory of a sandbox's pinned namespaces: ``net``, ``ipc``, ``uts``, ``user``, ``pid``."""
        return self.run / "ns" / sandbox_id

    @property
    def sandboxes(self) -> Path:
        """Above ``sandbox(ID)``."""
        return self.run / "sandboxes"

    @property
    def containers(self) -> Path:
        """Above ``container(ID)``."""
        return self.run / "containers"

    def sandbox(self, sandbox_id: str) -> Path:
        """``hosts``, ``hostname``, ``resolv.conf``, ``shm`` of a sandbox."""
        return self.sandboxes / sandbox_id

    def container(self, container_id: str) -> Path:
        """A container's OCI bundle: ``config.json``, ``rootfs``, the monitor's files."""
        return self.containers / container_id
