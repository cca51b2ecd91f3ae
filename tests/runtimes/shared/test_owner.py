"""Telling what a dead process left from what is in use."""

from __future__ import annotations

import subprocess
import sys

from runtimes.shared.owner import SWEEP_AGE, Owner, left_over


def test_what_a_living_owner_made_is_in_use_however_old() -> None:
    owner = Owner()
    assert not left_over(owner.mark, SWEEP_AGE + 1)
    owner.release()


def test_what_a_killed_owner_made_is_left_over_at_once() -> None:
    code = "from runtimes.shared.owner import Owner; owner = Owner(); print(owner.mark, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout
        mark = process.stdout.readline().strip()
        assert not left_over(mark, 0)
        process.kill()
    assert left_over(mark, 0)


def test_of_an_owner_elsewhere_age_has_to_tell() -> None:
    assert not left_over("another-boot.1.token", SWEEP_AGE - 1)
    assert left_over("another-boot.1.token", SWEEP_AGE + 1)
    assert left_over("", SWEEP_AGE + 1)
