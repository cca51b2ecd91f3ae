"""What is kept of a command's output."""

from __future__ import annotations

import pytest

from cri.rpc import MAX_MESSAGE_BYTES
from cri.v1 import api_pb2 as v1
from runtimes.shared.kept_output import MESSAGE_ROOM, KeptOutput, fitting


async def test_what_comes_after_the_limit_is_thrown_away() -> None:
    kept = KeptOutput(limit=5)
    for piece in (b"abc", b"def", b"ghi"):
        await kept.write(piece)
    assert bytes(kept) == b"abcde"


@pytest.mark.parametrize(
    ("stdout", "stderr", "kept"),
    [(3, 3, (3, 3)), (20, 2, (8, 2)), (2, 20, (2, 8)), (20, 20, (5, 5)), (20, 0, (10, 0))],
)
def test_both_streams_together_fit_and_the_longer_one_is_cut_first(
    stdout: int, stderr: int, kept: tuple[int, int]
) -> None:
    out, err = fitting(b"o" * stdout, b"e" * stderr, room=10)
    assert (len(out), len(err)) == kept


def test_the_fullest_answer_fits_into_a_message() -> None:
    out, err = fitting(b"o" * MAX_MESSAGE_BYTES, b"e" * MAX_MESSAGE_BYTES)
    answer = v1.ExecSyncResponse(stdout=out, stderr=err, exit_code=2**31 - 1)
    assert MESSAGE_ROOM < answer.ByteSize() <= MAX_MESSAGE_BYTES
