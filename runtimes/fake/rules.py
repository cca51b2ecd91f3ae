"""What a script says, as settings: the rules of a configuration file and of ``Script``'s methods alike. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import grpc
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cri import references
from cri.errors import CRIError, InvalidArgument, error_for
from cri.rpc import RPCS

_CALLS = {rpc.name for rpc in RPCS}


def image_matches(pattern: str, image: str) -> bool:
    """Whether a reference is what ``pattern`` (``busybox``, ``bad:*``) means, as it was written or normalised."""
    if fnmatchcase(image, pattern):
        return True
    if not image:
        return False
    try:
        reference = references.parse(image)
    except InvalidArgument:
        return False
    forms = {str(reference), f"{reference.familiar_name}:{reference.tag}"}
    if reference.tag == "latest":
        forms |= {reference.name, reference.familiar_name}
    return any(fnmatchcase(form, pattern) for form in forms)


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "*"
    """Which sandboxes or containers, by metadata name; ``*`` and ``?`` are wildcards."""
    image: str = "*"
    """Which images; ``bad`` is ``docker.io/library/bad:latest`` too."""
    times: int = Field(default=0, ge=0)
    """How often the rule applies; 0 is without end."""

    def applies_to(self, name: str, image: str) -> bool:
        return fnmatchcase(name, self.name) and image_matches(self.image, image)


class CallRule(_Rule):
    """What happens to calls of one RPC: a delay, a failure, or both."""

    call: str
    """The RPC, ``CreateContainer``; ``*`` for every one."""
    delay: float = Field(default=0.0, ge=0)
    """Seconds before the work (or the failure)."""
    error: str = ""
    """gRPC's name of the failure, ``UNAVAILABLE``; ``CRASH`` is a bug in the backend. Empty: none."""
    message: str = ""
    after: bool = False
    """Do the work first, then fail: the caller does not learn that it was done."""

    @field_validator("call")
    @classmethod
    def _is_rpc(cls, call: str) -> str:
        if call != "*" and call not in _CALLS:
            raise ValueError(f"{call!r} is not an RPC; write * or one of {', '.join(sorted(_CALLS))}")
        return call

    @field_validator("error")
    @classmethod
    def _is_code(cls, error: str) -> str:
        if error and error != "CRASH" and error not in grpc.StatusCode.__members__:
            raise ValueError(
                f"{error!r} is not a gRPC code; write CRASH or one of {', '.join(grpc.StatusCode.__members__)}"
            )
        return error

    def exception(self) -> Exception | None:
        """What to raise, if anything."""
        if not self.error:
            return None
        message = self.message or f"the script makes {self.call} fail"
        if self.error == "CRASH":
            return RuntimeError(message)
        return error_for(grpc.StatusCode[self.error], message)


class ContainerRule(_Rule):
    """What containers do instead of their command. Without ``exit_code`` they run until they are stopped."""

    exit_code: int | None = Field(default=None, ge=0, le=255)
    after: float = Field(default=0.0, ge=0)
    """Seconds from start to exit."""
    output: str = ""
    """Printed to standard output at the start."""
    errors: str = ""
    """Printed to standard error at the start."""
    end: Literal["exit", "oom", "vanish"] = "exit"
    """How it ends: by itself, killed for memory (137, OOMKilled), or unseen (255, Unknown)."""
    ignores_signals: bool = False
    """Only SIGKILL ends it."""
    start_error: str = ""
    """StartContainer fails with this message."""

    @model_validator(mode="after")
    def _ends(self) -> ContainerRule:
        if self.after and self.exit_code is None and self.end == "exit":
            raise ValueError("after needs exit_code, or an end other than 'exit'")
        return self


def fresh(error: Exception) -> Exception:
    """A copy to raise: one exception object raised by many calls would collect their tracebacks."""
    if isinstance(error, CRIError):
        return type(error)(error.message, details=error.details)
    return type(error)(*error.args)
