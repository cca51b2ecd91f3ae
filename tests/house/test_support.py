"""The README's table of what each backend supports."""

from __future__ import annotations

from pathlib import Path

from tests.conformance import support

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.conformance.test_exec_sync" name="test_a[docker-direct]"/>
<testcase classname="tests.conformance.test_exec_sync" name="test_a[fake-grpc]"/>
<testcase classname="tests.conformance.test_user_names" name="test_b[docker-grpc-5]">
<skipped message="docker: too old"/></testcase>
<testcase classname="tests.conformance.test_user_names" name="test_b[fake-grpc]"><failure message="x"/></testcase>
<testcase classname="tests.conformance.test_user_names" name="test_of_the_suite_itself"/>
</testsuite></testsuites>"""


def seen(tmp_path: Path) -> support.Table:
    file = tmp_path / "junit.xml"
    file.write_text(JUNIT)
    return support.read([file])


def test_a_cell_says_what_was_seen(tmp_path: Path) -> None:
    lines = support.render(seen(tmp_path)).splitlines()
    assert "| exec sync | yes | yes |" in lines
    assert "| user names | no | 1 fail |" in lines


def test_what_is_lacking_is_told_with_its_reason(tmp_path: Path) -> None:
    assert support.lacking(seen(tmp_path)) == "docker: too old"


def test_the_table_takes_the_place_of_the_one_before() -> None:
    before = f"top\n{support.BEGIN}\nold\n{support.END}\nbottom"
    after = support.insert(before, "new")
    assert after == f"top\n{support.BEGIN}\n\nnew\n\n{support.END}\nbottom"
    assert support.insert(after, "new") == after


def test_the_readme_has_the_place_for_it() -> None:
    readme = support.README.read_text()
    assert readme.index(support.BEGIN) < readme.index(support.END)
