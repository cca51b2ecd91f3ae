"""What is generated and committed is what the generator makes today."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri import generate


def test_the_committed_code_is_what_the_generator_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_fails_the_check_with_a_summary_and_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "generated", lambda protos: {"some.py": "new\n"})
    (tmp_path / "some.py").write_text("old\n")
    assert generate.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "-old" in told
    assert "+new" in told
    assert (tmp_path / "some.py").read_text() == "old\n"


def test_a_stale_file_is_written_without_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "generated", lambda protos: {"some.py": "new\n"})
    assert generate.main([]) == 0
    assert (tmp_path / "some.py").read_text() == "new\n"


def test_other_tools_than_the_pinned_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "TOOLS", "0.0.1")
    assert generate.main(["--check"]) == 2
    assert "grpcio-tools==0.0.1" in capsys.readouterr().err
