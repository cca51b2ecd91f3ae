"""Being the only one who does a thing."""

from __future__ import annotations

import subprocess
import sys

from runtimes.shared.claim import Claim


def test_what_is_claimed_is_claimed_once() -> None:
    first = Claim.take("a thing")
    assert first
    assert Claim.take("a thing") is None
    other = Claim.take("another thing")
    assert other
    first.release()
    first.release()
    again = Claim.take("a thing")
    assert again
    again.release()
    other.release()


def test_a_claim_ends_with_its_process() -> None:
    code = "from runtimes.shared.claim import Claim; claim = Claim.take('mortal'); print('mine', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as process:
        assert process.stdout
        assert process.stdout.readline() == b"mine\n"
        assert Claim.take("mortal") is None
        process.kill()
    claim = Claim.take("mortal")
    assert claim
    claim.release()
