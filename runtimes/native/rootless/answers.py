"""What programs in the namespaces say to those outside: one line of JSON, which may be an error of the contract."""

from __future__ import annotations

import json
from typing import Any

from cri import errors
from cri.errors import CRIError, FailedPrecondition, Internal, Unavailable


def give(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def fail(error: CRIError | OSError) -> None:
    failed = error if isinstance(error, CRIError) else FailedPrecondition(str(error))
    give({"failed": type(failed).__name__, "message": failed.message})


def take(line: str, words: str) -> dict[str, Any]:
    """Raises the error that the line tells of, and Unavailable where there is no line: ``words`` say why then."""
    if not line.strip():
        raise Unavailable(
            f"the native engine of this user does not start: {words.strip()[-2000:] or 'no reason given'}"
        )
    answer: dict[str, Any] = json.loads(line)
    if "failed" in answer:
        kind = getattr(errors, str(answer["failed"]), Internal)
        raise kind(answer["message"])
    return answer
