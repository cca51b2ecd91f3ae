"""Images made in memory from the host's static busybox, so that no test needs a registry to begin.

The bytes depend on the description and the busybox binary alone: times are the epoch, owners root.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import platform
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.host.errors import Unavailable

BUSYBOX = "docker.io/library/busybox:latest"
EPOCH = "1970-01-01T00:00:00Z"

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ELF_INTERPRETER = 3
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n"
    b"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    b"www-data:x:33:33:www-data:/var/www:/bin/false\n"
    b"user:x:1000:1000:user:/home/user:/bin/sh\n"
    b"nobody:x:65534:65534:nobody:/home:/bin/false\n"
)
_GROUP = b"root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nstaff:x:50:user\nuser:x:1000:\nnogroup:x:65534:\n"
_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "home/user": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "var": 0o755,
    "var/www": 0o755,
}


@dataclass(frozen=True)
class Image:
    """What an image holds and says of itself. The defaults are those of the well-known busybox image."""

    cmd: Sequence[str] = ("sh",)
    entrypoint: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: Sequence[str] = ()
    volumes: Sequence[str] = ()
    stop_signal: str = ""
    os: str = "linux"
    architecture: str = ""
    variant: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    def layer(self) -> bytes:
        """The only layer: busybox, its applets, a few accounts, and `files` (path: content; mode 0755)."""
        return _layer(tuple(sorted((path.lstrip("/"), data) for path, data in self.files.items())))

    def config(self) -> bytes:
        """The image's configuration; its sha256 is the image's id in Docker and Podman."""
        run: dict[str, Any] = {"Env": [_PATH, *(f"{key}={value}" for key, value in self.env.items())]}
        optional = {
            "Cmd": list(self.cmd),
            "Entrypoint": list(self.entrypoint),
            "User": self.user,
            "WorkingDir": self.workdir,
            "Labels": dict(self.labels),
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.stop_signal,
        }
        run |= {key: value for key, value in optional.items() if value}
        config = {
            "created": EPOCH,
            "os": self.os,
            **self.platform(),
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [digest(self.layer())]},
            "history": [{"created": EPOCH, "created_by": "minicri tests"}],
        }
        return _json(config)

    def platform(self) -> dict[str, str]:
        """The architecture, the host's own by default, and the variant where there is one."""
        named = {"architecture": self.architecture or host_architecture()}
        return named | ({"variant": self.variant} if self.variant else {})

    @property
    def id(self) -> str:
        return digest(self.config())

    def manifest(self) -> bytes:
        """The OCI manifest that binds the configuration to the layer."""
        media = "application/vnd.oci.image"
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{media}.manifest.v1+json",
                "config": descriptor(self.config(), f"{media}.config.v1+json"),
                "layers": [descriptor(self.layer(), f"{media}.layer.v1.tar")],
            }
        )


def docker_archive(*names: str, image: Image | None = None) -> bytes:
    """What `docker save` writes, for `docker load`, `podman load` and skopeo's `docker-archive:`."""
    image = image or Image()
    config = image.config()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer = image.layer()
    layer_name = hashlib.sha256(layer).hexdigest() + "/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]}]
    return _tar({config_name: config, layer_name: layer, "manifest.json": _json(manifest)})


def oci_archive(name: str = "", image: Image | None = None) -> bytes:
    """The OCI layout in a tar, for `podman load` and skopeo's `oci-archive:`."""
    image = image or Image()
    manifest = image.manifest()
    entry = descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    if name:
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    blobs = (manifest, image.config(), image.layer())
    return _tar(
        {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
        }
        | {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in blobs}
    )


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def descriptor(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def host_architecture() -> str:
    """This machine's architecture by the name that images use, such as `amd64`."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def static_busybox() -> Path:
    """The host's statically linked busybox.

    Raises Unavailable when there is none, or only one that needs shared libraries.
    """
    found = shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin")
    if found is None:
        raise Unavailable("no busybox on this host: install the package busybox-static")
    if not _is_static(Path(found).read_bytes()):
        raise Unavailable(f"{found} needs shared libraries: install the package busybox-static")
    return Path(found)


def _is_static(elf: bytes) -> bool:
    """Whether no program header asks for an interpreter (the dynamic loader)."""
    wide = elf[4] == 2
    offset = struct.unpack_from("<Q", elf, 32)[0] if wide else struct.unpack_from("<I", elf, 28)[0]
    size, count = struct.unpack_from("<HH", elf, 54 if wide else 42)
    return all(struct.unpack_from("<I", elf, offset + index * size)[0] != _ELF_INTERPRETER for index in range(count))


@functools.cache
def _layer(files: tuple[tuple[str, bytes], ...]) -> bytes:
    busybox = static_busybox()
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=10)
    links = {f"bin/{applet}": "busybox" for applet in sorted(listed.stdout.split()) if applet != "busybox"}
    links["usr/bin/env"] = "../../bin/busybox"
    contents = {"bin/busybox": busybox.read_bytes(), **dict(files)}
    directories = dict(_DIRECTORIES)
    for path in contents:
        for parent in reversed(Path(path).parents[:-1]):
            directories.setdefault(str(parent), 0o755)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, mode in directories.items():
            tar.addfile(_member(path + "/", mode, tarfile.DIRTYPE))
        for path, data in {"etc/passwd": _PASSWD, "etc/group": _GROUP}.items():
            if path not in contents:
                _add_file(tar, path, data, 0o644)
        for path, data in contents.items():
            _add_file(tar, path, data, 0o755)
        for path, target in links.items():
            if path not in contents:
                link = _member(path, 0o777, tarfile.SYMTYPE)
                link.linkname = target
                tar.addfile(link)
    return buffer.getvalue()


def _member(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.mtime = mode, kind, 0
    return member


def _add_file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = _member(name, mode)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            _add_file(tar, name, data, 0o644)
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
