"""The README's picture of the states."""

from __future__ import annotations

from orchestrator.task import TRANSITIONS
from tests.house.state_diagram import BEGIN, END, README, diagram, inserted


def test_the_readme_shows_the_table_of_today() -> None:
    readme = README.read_text()
    assert BEGIN in readme
    assert END in readme
    assert inserted(readme) == readme, "python -m tests.house.state_diagram writes it anew"


def test_the_diagram_has_an_arrow_for_each_transition() -> None:
    arrows = [line for line in diagram().splitlines() if "-->" in line and "[*]" not in line]
    assert len(arrows) == sum(len(targets) for targets in TRANSITIONS.values())
