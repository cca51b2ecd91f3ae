"""The settings of the backend ``fake``: the section ``runtimes.fake`` of the configuration."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from cri import documents
from cri.errors import InvalidArgument
from runtimes.fake.images import ImageSpec
from runtimes.fake.rules import CallRule, ContainerRule
from runtimes.shared.streaming_config import StreamingConfig


class ScriptFile(BaseModel):
    """What a ``script_file`` may hold: the same lists as the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: tuple[ImageSpec, ...] = ()
    calls: tuple[CallRule, ...] = ()
    containers: tuple[ContainerRule, ...] = ()


class FakeConfig(StreamingConfig):
    """Everything has a default: an empty section is a fake that does what it is told and never fails."""

    images: tuple[ImageSpec, ...] = ()
    """Images that the fake's registries offer, besides the well-known ones."""
    preloaded: tuple[str, ...] = ()
    """References that are there from the start, without a pull."""
    calls: tuple[CallRule, ...] = ()
    """Failures and delays of calls."""
    containers: tuple[ContainerRule, ...] = ()
    """What containers do instead of their commands."""
    script_file: Path | None = None
    """A TOML, YAML or JSON file with more ``images``, ``calls`` and ``containers``."""
    subnets: tuple[str, ...] = ("10.88.0.0/16",)
    """The default network. An IPv6 subnet besides it makes sandboxes dual-stack."""
    named_networks: str = "10.89.0.0/16"
    """Where named networks that say no subnet get theirs from, a /24 each."""
    init_ignores_signals: bool = False
    """The kernel's rule for pid 1: a signal that the program has no handler for does nothing. Off by default, so that
    stopping a ``sleep`` does not cost the whole grace period."""

    @field_validator("subnets")
    @classmethod
    def _are_subnets(cls, subnets: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(subnet)) for subnet in subnets)

    @field_validator("named_networks")
    @classmethod
    def _can_be_divided(cls, subnet: str) -> str:
        network = ip_network(subnet)
        if network.version != 4 or network.prefixlen > 24:
            raise ValueError(f"{subnet!r} has no /24 to give away; write an IPv4 network such as 10.89.0.0/16")
        return str(network)

    def script(self) -> ScriptFile:
        """The lists of the configuration followed by the file's. Raises InvalidArgument for a bad file."""
        more = _load(self.script_file) if self.script_file else ScriptFile()
        return ScriptFile(
            images=self.images + more.images,
            calls=self.calls + more.calls,
            containers=self.containers + more.containers,
        )


def _load(path: Path) -> ScriptFile:
    try:
        return ScriptFile.model_validate(documents.read(path).data)
    except ValidationError as error:
        raise InvalidArgument(f"script_file: {path}: {error}") from error
