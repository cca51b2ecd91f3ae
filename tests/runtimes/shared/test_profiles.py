"""Where a security profile comes from; no engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared import profiles

Profile = v1.SecurityProfile


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", Profile(profile_type=Profile.Unconfined)),
        ("unconfined", Profile(profile_type=Profile.Unconfined)),
        ("runtime/default", Profile(profile_type=Profile.RuntimeDefault)),
        ("docker/default", Profile(profile_type=Profile.RuntimeDefault)),
        ("localhost//p.json", Profile(profile_type=Profile.Localhost, localhost_ref="/p.json")),
    ],
)
def test_the_deprecated_seccomp_field_still_counts(word: str, expected: v1.SecurityProfile) -> None:
    assert profiles.seccomp(v1.LinuxContainerSecurityContext(seccomp_profile_path=word)) == expected


def test_the_message_field_wins_over_the_deprecated_one() -> None:
    context = v1.LinuxContainerSecurityContext(
        seccomp=Profile(), seccomp_profile_path="unconfined", apparmor=Profile(), apparmor_profile="unconfined"
    )
    assert profiles.seccomp(context).profile_type == Profile.RuntimeDefault
    assert profiles.apparmor(context).profile_type == Profile.RuntimeDefault


def test_no_apparmor_profile_is_the_default_one() -> None:
    assert profiles.apparmor(v1.LinuxContainerSecurityContext()).profile_type == Profile.RuntimeDefault
    named = v1.LinuxContainerSecurityContext(apparmor_profile="localhost/mine")
    assert profiles.apparmor(named).localhost_ref == "mine"


def test_a_word_that_is_no_profile_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="apparmor_profile: 'mine'"):
        profiles.apparmor(v1.LinuxContainerSecurityContext(apparmor_profile="mine"))


async def test_a_profile_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text("{}")
    assert await profiles.read_seccomp(Profile(profile_type=Profile.Localhost, localhost_ref=str(path))) == "{}"
    missing = Profile(profile_type=Profile.Localhost, localhost_ref=str(tmp_path / "q.json"))
    with pytest.raises(InvalidArgument, match=r"q\.json"):
        await profiles.read_seccomp(missing)
    assert await profiles.read_seccomp(Profile()) == ""
