"""The README's picture of the states, drawn from the one table of transitions.

``python -m tests.house.state_diagram`` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.task import TRANSITIONS, State

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- state diagram -->", "<!-- end of state diagram -->"

_MEANS = {
    (State.PENDING, State.SCHEDULED): "start",
    (State.PENDING, State.COMPLETED): "cancel",
    (State.SCHEDULED, State.SCHEDULED): "another try",
    (State.SCHEDULED, State.RUNNING): "it runs",
    (State.SCHEDULED, State.FAILED): "it cannot start",
    (State.SCHEDULED, State.COMPLETED): "cancel",
    (State.RUNNING, State.RUNNING): "another look",
    (State.RUNNING, State.COMPLETED): "exit 0, or stopped",
    (State.RUNNING, State.FAILED): "exit with another code",
    (State.RUNNING, State.SCHEDULED): "restart",
    (State.FAILED, State.SCHEDULED): "restart",
}


def diagram() -> str:
    """The table as a Mermaid diagram, which GitHub and editors draw."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    for source in State:
        lines += [
            f"    {source} --> {target}: {_MEANS[source, target]}" for target in State if target in TRANSITIONS[source]
        ]
        if not TRANSITIONS[source]:
            lines.append(f"    {source} --> [*]")
    return "\n".join([*lines, "```"])


def inserted(readme: str) -> str:
    """The README with the diagram in its place."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{diagram()}\n\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(inserted(README.read_text()))
