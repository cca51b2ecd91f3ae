"""The host's policy of trust, for a skopeo that does not heed it by itself."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from cri import references
from cri.errors import CRIError, FailedPrecondition, PermissionDenied
from runtimes.native.images import trust

POLICY = {
    "default": [{"type": "reject"}],
    "transports": {
        "docker": {
            "127.0.0.1:5000/a": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key"}],
            "*.example.com": [{"type": "insecureAcceptAnything"}],
        }
    },
}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("127.0.0.1:5000/a/b:1", FailedPrecondition),
        ("127.0.0.1:5000/b:1", PermissionDenied),
        ("sub.example.com/b:1", None),
    ],
)
def test_the_hosts_policy_is_heeded_where_skopeo_does_not(
    tmp_path: Path, name: str, error: type[CRIError] | None
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    with pytest.raises(error) if error else nullcontext():
        trust.require_anything_goes(policy, references.parse(name))
