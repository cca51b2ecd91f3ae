"""What asks a container how it is: probes as declared, and what their answers, taken together, say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cri import probing
from manifests.values import Hostname, Model, Seconds, Text, Words, inside_path

PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Http(Model):
    """A GET that is answered with a status from 200 to 399. ``host`` absent: the sandbox's address."""

    port: PortNumber
    path: Annotated[str, AfterValidator(inside_path)] = "/"
    host: Hostname | None = None
    scheme: Literal["http", "https"] = "http"
    headers: dict[Annotated[str, Field(pattern=r"^[!-9;-~]+$", description="one word")], Text] = {}

    @model_validator(mode="after")
    def _headers_are_lines(self) -> Self:
        if any(ord(mark) < 32 for value in self.headers.values() for mark in value):
            raise ValueError("the value of a header is one line")
        return self


class Tcp(Model):
    """A connection that is taken."""

    port: PortNumber
    host: Hostname | None = None


class Grpc(Model):
    """A service that the gRPC health protocol says is SERVING."""

    port: PortNumber
    service: Text = ""


class Probe(Model):
    """One way to ask, every ``period``: a failure is no good answer within ``timeout``. The verdict changes after so
    many ``successes`` or ``failures`` in a row. Times in seconds."""

    http: Http | None = None
    tcp: Tcp | None = None
    grpc: Grpc | None = None
    exec: Words = ()
    period: Seconds = Field(default=10.0, gt=0)
    timeout: Seconds = Field(default=1.0, gt=0)
    initial_delay: Seconds = 0.0
    successes: int = Field(default=1, ge=1)
    failures: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> Self:
        if sum(bool(way) for way in (self.http, self.tcp, self.grpc, self.exec)) != 1:
            raise ValueError("give one of http, tcp, grpc and exec")
        return self

    def question(self, at: str = "") -> probing.Question:
        """What it asks; ``at`` is the address where it names no host (empty: the sandbox's)."""
        if self.http is not None:
            http = self.http
            return probing.Get(http.port, http.path, http.host or at, http.scheme == "https", http.headers)
        if self.tcp is not None:
            return probing.Connect(self.tcp.port, self.tcp.host or at)
        if self.grpc is not None:
            return probing.Serving(self.grpc.port, self.grpc.service, at)
        return probing.Command(self.exec)


class Probes(Model):
    """``startup`` holds the other two back until it succeeds once; ``readiness`` says whether the task is ready;
    where startup or ``liveness`` fails, the attempt is over."""

    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None

    @model_validator(mode="after")
    def _one_success_is_enough_to_live(self) -> Self:
        if any(probe is not None and probe.successes > 1 for probe in (self.startup, self.liveness)):
            raise ValueError("successes can only be more than 1 for readiness")
        return self

    def __iter__(self) -> Iterator[Probe]:  # type: ignore[override]
        yield from (probe for probe in (self.startup, self.readiness, self.liveness) if probe is not None)

    @property
    def gate(self) -> bool:
        """Whether a container is not ready by merely running."""
        return self.startup is not None or self.readiness is not None


@dataclass(frozen=True, slots=True)
class Tally:
    """A probe's verdict, None while there is none, and how many answers in a row speak against it."""

    passing: bool | None
    against: int = 0


def judge(probe: Probe, tally: Tally, good: bool) -> Tally:
    """What one more answer makes of the verdict."""
    if good is tally.passing:
        return Tally(tally.passing)
    against = tally.against + 1
    return Tally(good) if against >= (probe.successes if good else probe.failures) else Tally(tally.passing, against)
