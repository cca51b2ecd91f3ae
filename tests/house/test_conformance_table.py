"""The table of differences names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance import containerd

SUITE = Path(containerd.__file__).parent


def test_every_test_in_the_table_of_containerd_exists() -> None:
    sources = (path.read_text() for path in SUITE.glob("test_*.py"))
    tests = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}
    assert containerd.DIFFERENCES.keys() - tests == set()
