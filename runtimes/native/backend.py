"""The plug-in: how minicri looks whether this host can run containers by itself, and opens the engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from cri.errors import CRIError
from cri.plugins import Backend, Probe
from cri.runtime import Runtime
from runtimes.native.config import NativeConfig


class NativeBackend(Backend[NativeConfig]):
    """No daemon: the process that opens it is the engine."""

    name: ClassVar[str] = "native"
    auto_rank: ClassVar[int | None] = 30
    config = NativeConfig

    async def probe(self, config: NativeConfig) -> Probe:
        """Look whether all that is needed is here; whatever is missing is an engine that cannot be used, and why."""
        from runtimes.native.oci.compiled import CompiledFilters
        from runtimes.native.oci_runtime import OciRuntime, find_program, handlers
        from runtimes.native.places import Places

        where = ""
        try:
            if os.geteuid() != 0:
                from runtimes.native.rootless import settings, subordinate

                config = settings.at_home(config)
                subordinate.check()
                where = "without root, "
            find_program(config.conmon, "conmon")
            path = next(iter(handlers(config.runtime).values()))
            places = Places.of(config)
            filters = CompiledFilters(places.filters, Path(path))
            runtime = OciRuntime(path, places.oci_root, config.call_timeout, filters, driver="cgroupfs")
            version = await runtime.version()
        except CRIError as error:
            return Probe(available=False, detail=error.message)
        return Probe(available=True, detail=f"{runtime.name} {version}, {where}state in {config.root}", version=version)

    async def open(self, config: NativeConfig) -> Runtime:
        """Raises FailedPrecondition for what this host lacks, naming the package that brings it."""
        if os.geteuid() != 0:
            from runtimes.native.rootless import client, settings

            return await client.open_runtime(settings.at_home(config))
        from runtimes.native.runtime import NativeRuntime

        return await NativeRuntime.open(config)
