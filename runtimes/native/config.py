"""What the native engine may be told: the section ``runtimes.native`` of the configuration."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runtimes.shared.streaming_config import StreamingConfig

GIB = 1 << 30


class Section(BaseModel):
    """A part of the section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSettings(Section):
    """The default network, and where CNI's configuration is."""

    bridge: str = Field(default="minicri0", min_length=1, max_length=15)
    """The bridge of the default network. Engines with different roots need different ones."""

    subnet: str = "10.87.0.0/16"
    """IPv4 addresses of the default network; the first one is the bridge's own. Empty: no IPv4."""

    subnet6: str = ""
    """The same for IPv6. Empty: no IPv6."""

    pool: str = "10.86.0.0/16"
    """IPv4 addresses for named networks that ask for no subnet."""

    pool_prefix: int = Field(default=24, ge=8, le=30)
    """The length of the prefix of such a network: 24 for room for 253 sandboxes."""

    mtu: int = Field(default=0, ge=0, le=65535)
    """The largest packet of a sandbox, in bytes. 0: that of the host's default route."""

    cni_config_dir: str = ""
    """A directory of CNI conflists (``/etc/cni/net.d``): the first one is the default network then, as for other CRI
    endpoints. Empty: no CNI."""

    cni_bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    """Where CNI's plug-ins are looked for."""

    @field_validator("subnet", "pool")
    @classmethod
    def _is_ipv4(cls, value: str) -> str:
        return _subnet(value, 4, 30)

    @field_validator("subnet6")
    @classmethod
    def _is_ipv6(cls, value: str) -> str:
        return _subnet(value, 6, 126)

    @model_validator(mode="after")
    def _has_addresses(self) -> NetworkSettings:
        if not self.subnet and not self.subnet6:
            raise ValueError("one of subnet and subnet6 is needed")
        return self


def _subnet(value: str, version: int, longest: int) -> str:
    if value:
        found = ip_network(value)
        if found.version != version or found.prefixlen > longest:
            raise ValueError(f"{value!r} is not an IPv{version} subnet with a prefix of at most {longest}")
    return value


class ImageSettings(Section):
    """The image store."""

    gc_high: int = Field(default=0, ge=0)
    """Bytes of images above which unused ones are removed, the longest unused first. 0: never."""

    gc_low: int = Field(default=0, ge=0)
    """Bytes of images at which that removing ends. 0: four fifths of ``gc_high``."""

    pinned: tuple[str, ...] = ()
    """Names of images that are never removed for the space they take, neither here nor by the kubelet, in full:
    ``docker.io/library/busybox:latest``."""

    registries_conf: str = ""
    """A registries.conf(5) for pulls. Empty: the host's."""

    pull_timeout: float = Field(default=0.0, ge=0)
    """Seconds after which a pull is given up; 0: only its caller's deadline bounds it."""

    @property
    def low(self) -> int:
        """``gc_low`` as it is meant."""
        return self.gc_low or self.gc_high * 4 // 5

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.gc_low > self.gc_high:
            raise ValueError(f"gc_low: {self.gc_low} is more than gc_high, {self.gc_high}")
        return self


class NativeConfig(StreamingConfig):
    """Frozen. Every field has a default that fits one engine on this machine."""

    root: Path = Path("/var/lib/minicri/native")
    """Images and state: what outlives a reboot."""

    run: Path = Path("/run/minicri/native")
    """What runs: it must be on a tmpfs, for its being empty is how a reboot is recognised."""

    runtime: str = ""
    """The OCI runtime, by name or path. Empty: crun, else runc."""

    conmon: str = "conmon"
    """The monitor of containers, by name or path."""

    cgroup_driver: Literal["auto", "cgroupfs", "systemd", "none"] = "auto"
    """Who makes cgroups. ``auto``: systemd where it runs the host and cgroups are v2, else cgroupfs; without root, and
    with ``none``, nobody: containers have no limits then."""

    cgroup_parent: str = "/minicri"
    """Where sandboxes go whose config names no cgroup parent (systemd driver: ``minicri.slice``)."""

    seccomp_profile: str = ""
    """The profile behind RuntimeDefault. Empty: the one that the host's packages brought."""

    max_threads: int = Field(default=16, ge=2, le=512)
    """How much blocking work may be under way at once; more waits its turn."""

    call_timeout: float = Field(default=60.0, gt=0)
    """Seconds that the OCI runtime, the monitor or a network plug-in gets for one step."""

    network: NetworkSettings = NetworkSettings()
    images: ImageSettings = ImageSettings()

    @field_validator("root", "run")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(f"{str(value)!r} is not an absolute path")
        return value
