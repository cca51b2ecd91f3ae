"""The programs that every fake container has, in the manner of busybox: those that tests and examples need.

What may live here: coroutine functions ``async def name(process) -> int`` that touch nothing but their ``Process``.
"""

from __future__ import annotations

from runtimes.fake.process import Program
from runtimes.fake.program_table import Programs
from runtimes.fake.programs import basics, files, machine, net
from runtimes.fake.programs.service import service
from runtimes.fake.shell import sh

_TABLE: dict[str, Program] = {**basics.TABLE, **files.TABLE, **machine.TABLE, **net.TABLE, "sh": sh, "ash": sh}


def default_programs() -> Programs:
    """A fresh set; ``Programs.register`` adds to it."""
    programs = Programs(_TABLE)
    programs.register("busybox", basics.busybox(programs))
    return programs


__all__ = ["default_programs", "service"]
