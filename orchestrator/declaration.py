"""``Declaration``: what was asked for under one name, its earlier revisions, and how far the rollout has come. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import ValidationError

from manifests.spec import TaskSpec

REVISIONS = 10
"""How many revisions of a declaration are kept, the newest included."""


class Progress(StrEnum):
    """Where the rollout of the newest revision stands."""

    PROGRESSING = "progressing"
    COMPLETE = "complete"
    FAILED = "failed"
    ROLLED_BACK = "rolled-back"
    """The newest revision is an earlier one again, because the one in between failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One spec as it was asked for. ``good``: its rollout was completed once. ``undoes`` is the revision whose failed
    rollout made this one, 0 for none."""

    number: int
    spec: TaskSpec
    declared_at: float
    actor: str = ""
    cause: str = ""
    undoes: int = 0
    good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The record of one declared name. ``source`` is the file that declared it last, ``""`` where there is none."""

    name: str
    revisions: tuple[Revision, ...]
    """Oldest first; the last one is what should be."""
    source: str = ""
    progress: Progress = Progress.PROGRESSING
    message: str = ""
    """What went wrong last, for a person."""
    arrived: int = 0
    """The most tasks seen to run by the newest revision at once."""
    since: float = 0.0
    """When the rollout last got further."""
    serving: bool = False
    """Something ran by another revision while this rollout went on: there is something to go back to."""
    version: int = 0

    @property
    def spec(self) -> TaskSpec:
        return self.revisions[-1].spec

    @property
    def revision(self) -> int:
        return self.revisions[-1].number


def declare(
    known: Declaration | None,
    spec: TaskSpec,
    *,
    source: str | None = None,
    actor: str,
    cause: str,
    now: float,
    undoes: int = 0,
) -> Declaration:
    """``known`` with ``spec`` as what should be: a new revision, unless nothing or only the replicas differ.

    ``source`` None leaves it with the file that declared it.
    """
    first = Revision(number=1, spec=spec, declared_at=now, actor=actor, cause=cause)
    if known is None:
        return Declaration(name=spec.name, revisions=(first,), source=source or "", since=now)
    source = known.source if source is None else source
    if spec == known.spec:
        return replace(known, source=source)
    *earlier, last = known.revisions
    if spec.model_copy(update={"replicas": last.spec.replicas}) == last.spec:
        revisions = (*earlier, replace(last, spec=spec))
    else:
        revisions = (*known.revisions, replace(first, number=last.number + 1, undoes=undoes))[-REVISIONS:]
    fresh = Declaration(name=known.name, revisions=revisions, source=source, since=now)
    return replace(fresh, message=known.message if undoes else "", version=known.version)


def earlier(declared: Declaration, number: int = 0) -> Revision | None:
    """The revision ``number`` (0: the newest good one) before the last one; None where there is none."""
    before = reversed(declared.revisions[:-1])
    return next((one for one in before if (one.number == number if number else one.good)), None)


def again(declared: Declaration, revision: Revision) -> TaskSpec:
    """The spec of an earlier revision for as many tasks as are asked for now, if that can be: how many there are to be
    is no part of a revision."""
    try:
        return TaskSpec.model_validate({**revision.spec.model_dump(), "replicas": declared.spec.replicas})
    except ValidationError:
        return revision.spec
