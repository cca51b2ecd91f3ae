"""What systemd is told of a sandbox's limits, and what its programs are told of us."""

from __future__ import annotations

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native import programs, slices

NO_LIMIT = str((1 << 64) - 1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (v1.LinuxContainerResources(), {}),
        (v1.LinuxContainerResources(cpu_shares=512), {"CPUWeight": "20"}),
        (
            v1.LinuxContainerResources(cpu_quota=50_000, cpu_period=200_000),
            {"CPUQuotaPeriodUSec": "200000", "CPUQuotaPerSecUSec": "250000"},
        ),
        (v1.LinuxContainerResources(cpu_quota=-1), {"CPUQuotaPeriodUSec": "100000", "CPUQuotaPerSecUSec": NO_LIMIT}),
        (v1.LinuxContainerResources(memory_limit_in_bytes=1 << 27), {"MemoryMax": "134217728"}),
        (v1.LinuxContainerResources(unified={"pids.max": "77"}), {"TasksMax": "77"}),
        (v1.LinuxContainerResources(unified={"memory.high": "max"}), {"MemoryHigh": NO_LIMIT}),
    ],
)
def test_limits_that_systemd_keeps_are_its_properties(
    limits: v1.LinuxContainerResources, expected: dict[str, str]
) -> None:
    assert slices.properties(limits) == expected


def test_the_systemd_of_root_s_login_session_makes_no_cgroups() -> None:
    of_a_session = {"PATH": "/bin", "XDG_RUNTIME_DIR": "/run/user/0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}
    assert programs.of_the_host(of_a_session, rootless=False) == {"PATH": "/bin"}
    assert programs.of_the_host(of_a_session, rootless=True) == of_a_session
