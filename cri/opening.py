"""``cri.open``: a runtime by name, by address, or whichever engine answers.

A name is an installed backend, an address is opened by the backend ``remote``, and ``auto`` looks at the engines of
this machine and takes the first that answers. What was looked at is a value (``Choice``), so whoever asks why this
engine and not another one gets the answer that ``auto`` acted on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from cri import plugins
from cri.addresses import is_address, parse
from cri.errors import CRIError, InvalidArgument, Unavailable
from cri.fields import problems
from cri.plugins import Backend, BackendConfig, Probe
from cri.runtime import Runtime

logger = logging.getLogger(__name__)

AUTO = "auto"

PROBE_SECONDS = 5.0
"""How long an engine may take to say that it is there."""

Sections = Mapping[str, BackendConfig | Mapping[str, Any]]
"""What each backend is told: the section ``runtimes`` of the configuration."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One installed backend and what a look at its engine found. ``rank`` None: ``auto`` never takes it."""

    name: str
    rank: int | None
    probe: Probe


@dataclass(frozen=True, slots=True)
class Choice:
    """What ``auto`` found: every candidate in the order of preference, and the first one that answers, if any."""

    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate | None:
        ranked = (candidate for candidate in self.candidates if candidate.rank is not None)
        return next((candidate for candidate in ranked if candidate.probe.available), None)

    def explain(self) -> str:
        """One line: which and why, and why not those that come before it."""
        chosen = self.chosen
        said: list[str] = []
        for candidate in self.candidates:
            if candidate is chosen:
                said.insert(0, f"{candidate.name} ({candidate.probe.detail})")
                break
            if candidate.rank is not None:
                said.append(f"not {candidate.name}: {candidate.probe.detail}")
        if chosen is None:
            said.insert(0, "no engine answers")
        return "; ".join(said)


async def survey(runtimes: Sections | None = None, *, timeout: float = PROBE_SECONDS) -> Choice:
    """Look at the engines of every installed backend, all at once, each for at most ``timeout`` seconds.

    Ordered as ``auto`` prefers them, then those that it never takes, by name. Never fails: a backend that cannot be
    loaded or whose section is wrong is a candidate that is not available, and says why.
    """
    found = await asyncio.gather(*(_look(name, (runtimes or {}).get(name), timeout) for name in plugins.names()))
    return Choice(tuple(sorted(found, key=lambda c: (c.rank is None, c.rank or 0, c.name))))


async def _look(name: str, section: BackendConfig | Mapping[str, Any] | None, timeout: float) -> Candidate:
    rank = None
    try:
        backend = plugins.find(name)
        rank = backend.auto_rank
        config = _config(backend, section, {})
        async with asyncio.timeout(timeout):
            return Candidate(name, rank, await backend.probe(config))
    except TimeoutError:
        return Candidate(name, rank, Probe(False, f"no answer within {timeout:g} s"))
    except CRIError as error:
        return Candidate(name, rank, Probe(False, error.message))
    except Exception as error:
        logger.exception("the probe of runtime %r failed", name)
        return Candidate(name, rank, Probe(False, f"the probe failed: {type(error).__name__}: {error}"))


@asynccontextmanager
async def open(  # noqa: A001 - read as cri.open
    runtime: str = AUTO, /, *, runtimes: Sections | None = None, **options: Any
) -> AsyncIterator[Runtime]:
    """A runtime, open inside the block: ``auto``, the name of a backend, or the address of a CRI endpoint.

    ::

        async with cri.open("docker") as runtime:
            print((await runtime.version(v1.VersionRequest())).runtime_version)

        async with cri.open("unix:///run/containerd/containerd.sock", timeout=5) as runtime: ...

    ``options`` are fields of the backend's own config (for an address: ``tls``, ``insecure``, ``timeout``).
    ``runtimes`` has a section for each backend, as in the configuration file; ``options`` go over it. Raises
    InvalidArgument for a name, address or option that is wrong, Unavailable when nothing answers. The end of the
    block frees connections and never touches containers.
    """
    name, options = await _resolve(runtime, runtimes or {}, options)
    backend = plugins.find(name)
    opened = await backend.open(_config(backend, (runtimes or {}).get(name), options))
    async with opened:
        yield opened


async def _resolve(runtime: str, runtimes: Sections, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if runtime == AUTO:
        if options:
            raise InvalidArgument(f"options {sorted(options)} need a named runtime; for 'auto' use runtimes={{...}}")
        choice = await survey(runtimes)
        if choice.chosen is None:
            raise Unavailable(choice.explain())
        logger.info("runtime auto: %s", choice.explain())
        return choice.chosen.name, {}
    if is_address(runtime):
        parse(runtime)
        return "remote", {**options, "address": runtime}
    return runtime, options


def _config(
    backend: Backend[Any], section: BackendConfig | Mapping[str, Any] | None, options: Mapping[str, Any]
) -> BackendConfig:
    """The backend's own config. Only what was said is carried over, so its defaults stay its own."""
    said = {name: getattr(section, name) for name in section.model_fields_set} if isinstance(section, BaseModel) else {}
    try:
        config: BackendConfig = backend.config.model_validate({**said, **_mapping(section), **options})
    except ValidationError as error:
        lines = problems(error, backend.config, prefix=("runtimes", backend.name))
        raise InvalidArgument("\n".join(str(line) for line in lines)) from error
    return config


def _mapping(section: BackendConfig | Mapping[str, Any] | None) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else {}
