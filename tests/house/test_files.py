"""What holds for every file of the project."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 300
GENERATED = ("_pb2.py", "_pb2.pyi")


def tracked(*suffixes: str) -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.split("\0") if name.endswith(suffixes)]
    return [path for path in paths if path.is_file()]


def test_no_python_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in tracked(".py") if not path.name.endswith(GENERATED)}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_the_orchestrator_stays_thin() -> None:
    """All of it, but for what is generated. What has grown past this asks which of it is not the orchestrator's."""
    ours = [path for path in tracked(".py") if path.is_relative_to(ROOT / "orchestrator")]
    lines = [len(path.read_text().splitlines()) for path in ours if not path.name.endswith(GENERATED)]
    assert sum(lines) < 4500


def test_every_package_says_what_may_live_in_it() -> None:
    packages = [path for path in tracked("__init__.py") if "tests" not in path.parts and path.parent.name != "v1"]
    assert [str(path.relative_to(ROOT)) for path in packages if not path.read_text().startswith('"""')] == []


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    links = [(document, target) for document in tracked(".md") for target in _links(document.read_text())]
    local = [(document, target.partition("#")[0]) for document, target in links if "://" not in target]
    broken = [(str(document), target) for document, target in local if not (document.parent / target).exists()]
    assert broken == []


def _links(markdown: str) -> list[str]:
    return [part.partition(")")[0] for part in markdown.split("](")[1:]]
