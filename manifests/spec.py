"""``TaskSpec``: what a user may say about a task, and nothing about how it is going.

The model is the schema: it validates, it names the field that is wrong and it prints itself as JSON Schema. Pure:
no file is read here (see ``manifest``) and no CRI message is made here (see ``cri_messages``). Fields that have a
short form (see ``shortforms``) take it wherever the model is built, and always hold the long one.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cri.errors import NotFound
from manifests import shortforms
from manifests.container import Container
from manifests.network import Network
from manifests.values import Model, Name, Seconds, Text, label_key, once, short


class Restart(Model):
    """When an attempt that ended is followed by another. Backoff in seconds, doubled up to ``max_backoff`` and
    forgotten after an attempt ran for ``reset_after``; ``attempts`` 0 is without limit. In a file also just the
    policy."""

    policy: Literal["never", "on-failure", "always"] = "never"
    backoff: Seconds = 10.0
    max_backoff: Seconds = 300.0
    reset_after: Seconds = 600.0
    attempts: int = Field(default=0, ge=0)


class Rollout(Model):
    """How a changed spec reaches the tasks: at most ``max_surge`` more than ``replicas`` run meanwhile, at most
    ``max_unavailable`` fewer are up. A task is up once it has been ready and running for ``min_ready`` seconds. Without
    a step forward for ``deadline`` seconds the rollout has failed; ``rollback`` then brings back the last revision
    that did not, if something ran by it."""

    max_surge: int = Field(default=1, ge=0)
    max_unavailable: int = Field(default=0, ge=0)
    min_ready: Seconds = 0.0
    deadline: Seconds = 600.0
    rollback: bool = True

    @model_validator(mode="after")
    def _one_of_them_is_allowed(self) -> Self:
        if not self.max_surge and not self.max_unavailable:
            raise ValueError("max_surge and max_unavailable cannot both be 0: nothing could be replaced")
        return self


class TaskSpec(Container):
    """One task as declared: its main container, and what is the task's as a whole. ``replicas`` absent: one task of
    this name; given: ``name-0``, ``name-1``, …

    Before the main container the ``init`` ones run, one after the other, each to its end; the ``containers`` run
    beside it. All share one sandbox, and an attempt is an attempt of them all."""

    init: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    depends_on: Annotated[
        dict[Name, Literal["started", "ready", "completed"]],
        short(shortforms.depends_on, dict[str, str], tuple[str, ...]),
    ] = {}
    restart: Annotated[Restart, short(shortforms.restart, Literal["never", "on-failure", "always"], Restart)] = (
        Restart()
    )
    network: Annotated[Network, short(shortforms.network, str, Network)] = Network()
    platform: str = Field(
        default="",
        pattern=r"^([a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?)?$",
        description="os/arch or os/arch/variant, such as linux/arm64/v8",
    )
    labels: dict[Annotated[Text, AfterValidator(label_key)], Text] = {}
    replicas: int | None = Field(default=None, ge=0, le=10000)
    rollout: Rollout = Rollout()

    @property
    def everyone(self) -> tuple[Container, ...]:
        """Every container, in the order in which they are started."""
        return (*self.init, *self.containers, self)

    def container(self, name: str) -> Container:
        """The one of this name; no name is the main one. Raises NotFound with the names there are."""
        named = {container.name: container for container in self.everyone}
        if (name or self.name) not in named:
            raise NotFound(f"task {self.name!r} has no container {name!r}; it has {', '.join(named)}")
        return named[name or self.name]

    @property
    def task_ids(self) -> list[str]:
        """The tasks that it asks for: its name, or with replicas ``name-0``, ``name-1``, …"""
        return [self.name] if self.replicas is None else [f"{self.name}-{number}" for number in range(self.replicas)]

    @property
    def leeway(self) -> tuple[int, int]:
        """How many tasks more, and how many fewer, than asked for may be up during a rollout. A task of its own name,
        host port or address cannot run twice, so one has to go down for it."""
        network = self.network
        pinned = network.ipv4 or network.ipv6 or network.mac or any(port.host for port in network.ports)
        surge = 0 if self.replicas is None or pinned else min(self.rollout.max_surge, self.replicas)
        return surge, self.rollout.max_unavailable or (0 if surge else 1)

    @property
    def surge_ids(self) -> list[str]:
        """The tasks that may run besides during a rollout."""
        return [f"{self.name}-surge-{number}" for number in range(self.leeway[0])]

    @model_validator(mode="after")
    def _containers_have_names_of_their_own(self) -> Self:
        once("container name", (container.name for container in self.everyone), "given")
        for container in (one for one in self.init if any(one.probes) or one.hooks.post_start):
            raise ValueError(f"init container {container.name} runs to its end: no probes and no post_start for it")
        return self

    @model_validator(mode="after")
    def _can_be_reached_by_its_probes(self) -> Self:
        probes = (probe for container in self.everyone for probe in container.probes)
        if self.network.mode == "none" and not all(probe.exec for probe in probes):
            raise ValueError("without a network only exec probes reach a task")
        return self

    @model_validator(mode="after")
    def _waits_for_others(self) -> Self:
        if self.name in self.depends_on:
            raise ValueError(f"depends_on: {self.name} -> {self.name}: a task cannot wait for itself")
        return self

    @model_validator(mode="after")
    def _replicas_can_live_side_by_side(self) -> Self:
        if self.replicas is None:
            return self
        if len(self.name) + len(str(max(self.replicas - 1, 0))) + 1 > 63:
            raise ValueError("with replicas the name must leave room for -0, -1, … within 63 characters")
        if self.replicas > 1:
            for port in (port for port in self.network.ports if port.host):
                raise ValueError(f"{self.replicas} replicas cannot share host port {port.host}: give host port 0")
            for given in (field for field in ("ipv4", "ipv6", "mac") if getattr(self.network, field)):
                raise ValueError(f"{self.replicas} replicas cannot share one {given}: leave network.{given} out")
        return self
