"""Runs a container's config with a real OCI runtime, with no engine around it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.oci import host as this_host
from runtimes.native.oci import lookups, users
from runtimes.native.oci.facts import HostFacts, SandboxFacts
from runtimes.native.oci.spec import container_spec
from tests.host.errors import Unavailable
from tests.host.hugetlb import CGROUPS
from tests.host.images import Image
from tests.runtimes.native.oci import hierarchies

_COMPLETE = (sys.executable, "-I", "-S", hierarchies.__file__) if hierarchies.needed() else ()
"""What a command begins with that needs all hierarchies."""


@dataclass(frozen=True)
class Ended:
    """What a container left: its exit code and what it and the runtime wrote."""

    code: int
    output: str


@dataclass
class Bench:
    """A directory for one test: a root, a sandbox, and the runtime's state."""

    directory: Path
    runtime: str
    stack: ExitStack
    host: HostFacts
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def rootfs(self) -> Path:
        """Filled from the busybox image at the first look."""
        rootfs = self.directory / "rootfs"
        if not rootfs.exists():
            rootfs.mkdir()
            with tarfile.open(fileobj=io.BytesIO(Image().layer())) as layer:
                # Its argument is younger than Debian 12's Python 3.11.2.
                layer.extraction_filter = lambda member, _: member
                layer.extractall(rootfs)
        return rootfs

    def sandbox(
        self,
        linux: v1.LinuxPodSandboxConfig | None = None,
        kinds: Sequence[str] = ("net", "ipc", "uts"),
    ) -> SandboxFacts:
        """A sandbox with pinned namespaces of these kinds, and of users where ``linux`` wants them."""
        directory = self.directory / "sandbox"
        for folder in (directory / "ns", directory / "shm"):
            folder.mkdir(parents=True, exist_ok=True)
        (directory / "shm").chmod(0o1777)
        for name in ("hosts", "hostname", "resolv.conf"):
            (directory / name).write_text(f"{name} of the sandbox\n")
        places = {kind: directory / "ns" / kind for kind in kinds}
        options = (linux or v1.PodSandboxConfig().linux).security_context.namespace_options
        if users.has_own(options):
            places["user"] = directory / "ns" / "user"
        self._pin(places, options.userns_options)
        return SandboxFacts(
            id=self.id,
            config=v1.PodSandboxConfig(linux=linux),
            hostname="web",
            cgroup=f"/minicri-oci-{self.id}",
            directory=directory,
            namespaces=places,
        )

    def _pin(self, places: Mapping[str, Path], users: v1.UserNamespace) -> None:
        """As files, the way the engine keeps them. A process in there is needed until they are pinned only."""
        if not places:
            return
        words = ["unshare", *(f"--{kind}" for kind in places), "cat"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write(b"!")
            holder.stdin.flush()
            holder.stdout.read(1)  # from here on it is in its namespaces
            for kind, path in places.items():
                path.touch()
                kernel.mount(f"/proc/{holder.pid}/ns/{kind}", path, flags=kernel.MS_BIND)
                self.stack.callback(kernel.unmount, path)
            for file, mappings in (("uid_map", users.uids), ("gid_map", users.gids)):
                lines = [f"{each.container_id} {each.host_id} {each.length}\n" for each in mappings]
                if lines:
                    Path(f"/proc/{holder.pid}/{file}").write_text("".join(lines))
            holder.stdin.close()

    def spec(
        self,
        config: v1.ContainerConfig,
        sandbox: SandboxFacts,
        image_config: Mapping[str, Any] | None = None,
        **looked: Any,
    ) -> dict[str, Any]:
        """The config as the engine would make it."""
        request, image = lookups.look(self.id, config, sandbox, image_config or {}, self.rootfs, **looked)
        return container_spec(request, sandbox, image, self.host)

    def run(self, spec: Mapping[str, Any], during: Callable[[], object] | None = None) -> Ended:
        """Run it to its end. ``during`` is called once it has been started."""
        (self.directory / "config.json").write_text(json.dumps(spec))
        process = subprocess.Popen(
            self._words("run", "--bundle", str(self.directory), self.id),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.stack.callback(self._remove)
        try:
            if during:
                during()
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return Ended(process.returncode, output.strip())

    @contextmanager
    def started(self, spec: Mapping[str, Any], container_id: str) -> Iterator[int]:
        """Run it beside others: the process's id on the host."""
        self.stack.callback(self._remove)
        bundle = self.directory / container_id
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(spec))
        self._call("create", "--bundle", str(bundle), "--pid-file", str(bundle / "pid"), container_id)
        try:
            self._call("start", container_id)
            yield int((bundle / "pid").read_text())
        finally:
            self._call("delete", "--force", container_id)

    def _call(self, *words: str) -> None:
        # A container keeps its runtime's output: a pipe would not end before it does.
        null = subprocess.DEVNULL
        subprocess.run(
            self._words(*words),
            check=True,
            timeout=60,
            stdin=null,
            stdout=null,
            stderr=null,
        )

    def _words(self, *words: str) -> list[str]:
        return [*_COMPLETE, self.runtime, "--root", str(self.directory / "state"), *words]

    def _remove(self) -> None:
        subprocess.run(self._words("delete", "--force", self.id), capture_output=True, timeout=30)
        # As crun sees the hierarchies: some may be mounted for it only.
        mine = f"*/minicri-oci-{self.id}*"
        words = [
            *_COMPLETE,
            "find",
            str(CGROUPS),
            "-maxdepth",
            "4",
            "-depth",
            "-type",
            "d",
            "-path",
            mine,
            "-exec",
            "rmdir",
            "{}",
            "+",
        ]
        # It fails as well where somebody else's cgroup vanishes under its feet.
        subprocess.run(words, check=False, capture_output=True, timeout=30)


@contextmanager
def bench(directory: Path, runtime: str) -> Iterator[Bench]:
    """Raises Unavailable without root or the runtime."""
    if os.geteuid() != 0:
        raise Unavailable("this test needs root")
    found = shutil.which(runtime)
    if found is None:
        raise Unavailable(f"this test needs {runtime}: install the package {runtime}")
    with ExitStack() as stack:
        yield Bench(directory, found, stack, this_host.look(cgroup_driver="cgroupfs"))
