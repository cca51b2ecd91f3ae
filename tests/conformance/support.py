"""`python -m tests.conformance.support JUNIT.xml…`: write what real runs showed into the README's support table,
and say what is lacking where, and why.

Make the files with `pytest tests/conformance --backend NAME -k NAME --junitxml=FILE`. A backend of which no file tells
keeps no column: nothing is claimed that was not seen.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- support table -->", "<!-- end of support table -->"
_PLACE = re.compile(r"\[(?P<backend>[a-z]+)-(?:direct|grpc)\b")


@dataclass
class Cell:
    """What one backend showed in one group of tests: how many passed of how many, and why others did not run."""

    passed: int = 0
    failed: int = 0
    lacking: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        if self.failed:
            return f"{self.failed} fail"
        return "yes" if not self.lacking else "partly" if self.passed else "no"


Table = Mapping[str, Mapping[str, Cell]]
"""Group of tests -> backend -> cell."""


def read(files: Iterable[Path]) -> Table:
    """The table of the junit files. Raises OSError and ElementTree.ParseError."""
    table: defaultdict[str, defaultdict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            place = _PLACE.search(case.get("name", ""))
            if place is None:
                continue
            group = case.get("classname", "").rpartition(".test_")[2].replace("_", " ")
            cell = table[group][place["backend"]]
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                cell.failed += 1
            elif skipped is None:
                cell.passed += 1
            else:
                cell.lacking.add(skipped.get("message", "").removeprefix(f"{place['backend']}: "))
    return table


def render(table: Table) -> str:
    """The table in Markdown, and under it how many checks passed on each backend."""
    backends = _backends(table)
    lines = [f"| | {' | '.join(backends)} |", f"| --- |{' --- |' * len(backends)}"]
    lines += [f"| {group} | {' | '.join(_text(table[group], one) for one in backends)} |" for group in sorted(table)]
    for backend in backends:
        passed = sum(row[backend].passed for row in table.values() if backend in row)
        lines += ["", f"**{backend}**: {passed} checks passed, in-process and over gRPC."]
    return "\n".join(lines)


def lacking(table: Table) -> str:
    """What is lacking where, and why: for the backends' own READMEs."""
    lines = []
    for backend in _backends(table):
        reasons = sorted({why for row in table.values() if backend in row for why in row[backend].lacking if why})
        lines += [f"{backend}: {why}" for why in reasons]
    return "\n".join(lines)


def _backends(table: Table) -> list[str]:
    return sorted({backend for row in table.values() for backend in row})


def _text(row: Mapping[str, Cell], backend: str) -> str:
    return str(row[backend]) if backend in row else ""


def insert(readme: str, table: str) -> str:
    """``readme`` with ``table`` between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        print((__doc__ or "").partition("\n")[0], file=sys.stderr)
        return 2
    table = read(Path(file) for file in arguments)
    README.write_text(insert(README.read_text(), render(table)))
    print(render(table), lacking(table), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
