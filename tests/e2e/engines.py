"""The swap that these tests are about: one command line, and a configuration whose line ``runtime`` differs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomli_w

import cri
from cri.config import load
from cri.settings import ServerSettings

EXAMPLES = Path(__file__).parents[2] / "examples"

CGROUP_V1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()


@dataclass(frozen=True)
class Engine:
    """What the tests know of an engine before they have it."""

    name: str
    """Of the backend."""
    variable: str = ""
    """Where programs that read no configuration of ours look for the engine."""
    product: str = ""
    """What Version calls the runtime, where that is not the backend's name."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Of the backend, besides where the engine is."""
    lives: bool = True
    """It goes on when the command ends."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Examples that it cannot run, each with the reason."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Lines of examples that are left out for it, each with the reason."""


PROGRAMS = ("library_sync.py", "library_async.py")
"""They name their engine in one word."""

ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            "fake",
            settings={"init_ignores_signals": True},
            lives=False,
            lacks={
                "site.yaml": "its httpd runs no programs",
                "deployment.yaml": "no probe from outside reaches its addresses",
                "pinned.yaml": "it has no program ip",
            },
        ),
        Engine("docker", variable="DOCKER_HOST"),
        Engine("podman", variable="CONTAINER_HOST"),
        Engine(
            "remote",
            product="containerd",
            lacks=dict.fromkeys(("network.yaml", "site.yaml", "pinned.yaml"), "containerd knows no network by name"),
            refuses={"  pids: 32\n": "CRI says it as a file of cgroup v2, and runc takes none on v1"}
            if CGROUP_V1
            else {},
        ),
        Engine("native", product="minicri", lacks=dict.fromkeys(PROGRAMS, "the word native alone is the host's own")),
    )
}
"""All that the tests run on; another one joins with a line here."""


class Configured:
    """A folder with a ``minicri.toml`` that names the engine, and copies of examples beside it."""

    def __init__(self, folder: Path, runtime: str, settings: Mapping[str, object]) -> None:
        self.folder = folder
        self.runtime = runtime
        self.engine = ENGINES[runtime]
        self.product = self.engine.product or runtime
        self.settings = {**self.engine.settings, **settings}
        self.file = folder / "minicri.toml"
        self.file.write_text(tomli_w.dumps({"runtime": runtime, "runtimes": {runtime: self.settings}}))
        self.variables = {"MINICRI_RUNTIME": runtime}
        if self.engine.variable:
            self.variables[self.engine.variable] = str(settings["host"])

    @property
    def named(self) -> str:
        """How the engine is named in one word where there is no configuration: an address, or the backend's name."""
        return str(self.settings.get("address", self.runtime))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[cri.Runtime]:
        """The runtime that the configuration names, in this process."""
        settings = load(ServerSettings, self.file, environ={}).value
        async with cri.open(settings.runtime, runtimes=settings.runtimes) as runtime:
            yield runtime

    def example(self, name: str, **swaps: str) -> str:
        """A copy of ``examples/NAME`` for this run alone; each word of ``swaps`` (``_8080`` is ``8080``) becomes its
        value, because ports and subnets of the examples may be taken on this host."""
        if why := self.engine.lacks.get(name):
            pytest.skip(f"{self.runtime}: {why}")
        text = (EXAMPLES / name).read_text()
        for line in self.engine.refuses:
            text = text.replace(line, "")
        for word, value in swaps.items():
            text, count = re.subn(rf"\b{re.escape(word.lstrip('_').replace('_', '.'))}\b", value, text)
            assert count, f"examples/{name} does not say {word}"
        copy = self.folder / name
        copy.write_text(text)
        return str(copy)
