"""``Container``: what may be said of one container, the main one of a task or another beside it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from manifests import shortforms
from manifests.probes import Probes
from manifests.values import Model, Name, Seconds, Text, Words, env_name, inside_path, once, short, signal_name


def _target(value: str) -> str:
    if (path := inside_path(value)) in ("", "/"):
        raise ValueError("a mount needs a target below /")
    return path


class Resources(Model):
    """Limits; an absent one is no limit. ``cpu`` in cores, ``memory`` in bytes (written ``64Mi`` or a number)."""

    cpu: Annotated[float, short(shortforms.cpu, str, float)] | None = Field(default=None, gt=0)
    memory: Annotated[int, short(shortforms.memory, str, int)] | None = Field(default=None, gt=0)
    pids: int | None = Field(default=None, gt=0)


class Mount(Model):
    """A host path, or a ``volume``, seen inside the task. In a file also ``"/source:/target"`` and
    ``"/source:/target:ro"``; a source that starts with ``./`` is taken from the file's own folder.

    A volume is a folder of the task's own, empty at first, that all its containers share and that goes with it."""

    source: Annotated[Text, AfterValidator(inside_path)] = ""
    volume: Name | None = None
    target: Annotated[Text, AfterValidator(_target)]
    readonly: bool = False

    @model_validator(mode="after")
    def _is_of_something(self) -> Self:
        if bool(self.source) is bool(self.volume):
            raise ValueError("give a source or a volume")
        return self


class Secret(Model):
    """Where the value of a variable comes from when a container is created: the text of a ``file``, less a line break
    at its end, or a variable of the orchestrator's own environment."""

    file: Annotated[Text, AfterValidator(inside_path)] = ""
    env: Text = ""

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if bool(self.file) is bool(self.env):
            raise ValueError("give file or env")
        return self


class Hooks(Model):
    """Commands inside the container: ``post_start`` right after its start, an attempt fails with it; ``pre_stop``
    before it is told to stop, within the time that it has for that. Each may run again after a crash of minicri."""

    post_start: Words = ()
    pre_stop: Words = ()


Capability = Annotated[str, Field(pattern=r"^[A-Z_]+$", description="a capability such as NET_ADMIN, or ALL")]


class Capabilities(Model):
    """What is added to and taken from those that the engine gives."""

    add: tuple[Capability, ...] = ()
    drop: tuple[Capability, ...] = ()


class Security(Model):
    """What a container may do beyond, or less than, what the engine lets every container do."""

    privileged: bool = False
    readonly_rootfs: bool = False
    no_new_privileges: bool = False
    seccomp: Literal["default", "unconfined"] = "default"
    capabilities: Capabilities = Capabilities()
    groups: tuple[Annotated[int, Field(ge=0)], ...] = ()


class Stop(Model):
    """How a task is stopped: ``signal`` (the image's own when empty), then SIGKILL after ``grace`` seconds."""

    signal: Annotated[str, AfterValidator(signal_name)] = ""
    grace: Seconds = 10.0


class Container(Model):
    """One container: an image, what runs in it, and what it may use."""

    name: Name
    image: str = Field(pattern=r"^[^\s-]\S*$", description="a reference such as busybox:1.36 or registry/name@sha256:…")
    command: Words = ()
    args: Words = ()
    env: dict[Annotated[Text, AfterValidator(env_name)], Text] = {}
    env_files: tuple[Annotated[Text, AfterValidator(inside_path), Field(min_length=1)], ...] = ()
    secrets: dict[Annotated[Text, AfterValidator(env_name)], Secret] = {}
    workdir: Annotated[Text, AfterValidator(inside_path)] = ""
    user: str = Field(
        default="", pattern=r"^(\w[\w.-]*(:\w[\w.-]*)?)?$", description="name, uid, name:group or uid:gid"
    )
    resources: Resources = Resources()
    mounts: tuple[Annotated[Mount, short(shortforms.mount, str, Mount)], ...] = ()
    security: Security = Security()
    probes: Probes = Probes()
    hooks: Hooks = Hooks()
    stop: Stop = Stop()
    pull: Literal["missing", "always", "never"] = "missing"
    tty: bool = False

    @field_validator("mounts")
    @classmethod
    def _one_mount_a_target(cls, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        once("target", (mount.target for mount in mounts), "mounted")
        return mounts

    @model_validator(mode="after")
    def _one_value_a_variable(self) -> Self:
        for name in (name for name in self.secrets if name in self.env):
            raise ValueError(f"{name} is given in env and in secrets")
        return self
