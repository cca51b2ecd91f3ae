"""What a hostile container tries, and does not get. Each test makes the attempt, as root in the container unless it
says otherwise; docs/native-security.md names what guards each."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.oci.sandbox_init import init_spec
from runtimes.shared import pause
from tests.runtimes.native.oci import probe
from tests.runtimes.native.oci.bench import Bench, Ended
from tests.runtimes.native.oci.examples import Profile, config, context, linux

DEFAULT = Profile(profile_type=Profile.RuntimeDefault)
BPF, NEWUSER, AF_PACKET, SOCK_RAW = 0, 0x10000000, 17, 3


def attempt(bench: Bench, script: str, **security: object) -> str:
    """What a shell prints that does ``script`` in a container with the default profile and this security context."""
    return ended(bench, "sh", "-c", script, **security).output


def ended(bench: Bench, *command: str, **security: object) -> Ended:
    """The same, of one command, with its exit code."""
    wanted = config(context(**{"seccomp": DEFAULT, **security}), command=list(command))
    return bench.run(bench.spec(wanted, bench.sandbox()))


def called(bench: Bench, call: str, *arguments: int | bytes, mode: int = 0o755, **security: object) -> str:
    """The name of the error that a system call ends with in such a container; empty when it succeeds."""
    if not probe.known():
        pytest.skip("no programs can be written for this architecture")
    path = bench.rootfs / "probe"
    path.write_bytes(probe.program(call, *arguments))
    path.chmod(mode)
    code = ended(bench, "/probe", **security).code
    return errno.errorcode[code] if code else ""


@pytest.mark.parametrize("path", ["kcore", "keys", "timer_list", "interrupts", "acpi", "scsi"])
def test_what_the_kernel_tells_of_itself_is_empty(crun: Bench, path: str) -> None:
    assert attempt(crun, f"if [ -e /proc/{path} ]; then cat /proc/{path} 2>/dev/null; ls -A /proc/{path}/; fi") in (
        "",
        f"ls: /proc/{path}/: Not a directory",
    )


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ],
)
def test_the_kernels_settings_cannot_be_written(crun: Bench, path: str) -> None:
    assert "Read-only file system" in attempt(crun, f"[ -e {path} ] && echo x > {path} || echo Read-only file system")


@pytest.mark.parametrize(
    "command",
    [
        "mount -o remount,rw /proc/sys",
        "mount -o remount,rw /sys",
        "umount /proc/keys",
        "umount /sys/firmware",
        "mount -t proc proc /tmp",
        "mount -t tmpfs tmpfs /tmp",
        "mount -t cgroup -o memory cgroup /tmp",
        "mount --bind / /tmp",
        "pivot_root / /tmp",
        "hostname stolen",
        "ip link add x type dummy",
        "swapoff -a",
        "losetup /dev/loop0 /bin/busybox",
        "nsenter -t 1 -m true",
        "dmesg -c",
        "mknod /tmp/disk b 254 0",
        "insmod /tmp/x.ko",
        "renice -n -5 1",
    ],
)
def test_roots_powers_over_the_host_are_missing(crun: Bench, command: str) -> None:
    program = command.partition(" ")[0]
    script = f"command -v {program} >/dev/null || echo no such program; {command} >/dev/null 2>&1 && echo done"
    assert attempt(crun, script) == ""


def test_a_user_namespace_of_its_own_does_not_uncover_what_is_masked(crun: Bench) -> None:
    attempts = (
        "umount /proc/keys && echo uncovered",
        "mount -o remount,rw,bind /proc/sys && echo writable",
        "mkdir /tmp/p && mount -t proc proc /tmp/p && echo a fresh proc",
        "mkdir /tmp/s && mount -t sysfs sysfs /tmp/s && echo a fresh sysfs",
        "mkdir /tmp/c && mount -t cgroup -o memory cgroup /tmp/c && echo a fresh cgroup",
        "mknod /tmp/disk b 254 0 && echo a disk",
    )
    script = "; ".join(f"({each}) 2>/dev/null" for each in attempts)
    # AppArmor's profile refuses already the first mount that unshare makes.
    refused = "unshare: can't mount none on / (flags:0x44000): Permission denied"
    expected = refused if crun.host.apparmor else "tried"
    assert attempt(crun, f"unshare -Urmpf sh -c '{script}; echo tried'") == expected


@pytest.mark.parametrize("device", ["/dev/vda", "/dev/sda", "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/loop-control"])
def test_the_hosts_devices_are_not_there(crun: Bench, device: str) -> None:
    assert attempt(crun, f"ls {device} 2>/dev/null") == ""


def test_a_device_node_that_a_container_may_make_does_not_open(crun: Bench) -> None:
    disk = "mknod /tmp/disk b $(cat /sys/class/block/*/dev | head -n 1 | tr : ' ') && cat /tmp/disk"
    mknod = v1.Capability(add_capabilities=["MKNOD"])
    assert attempt(crun, disk, capabilities=mknod) == "cat: can't open '/tmp/disk': Operation not permitted"


def test_memory_of_the_host_does_not_open_with_a_node_of_its_own(crun: Bench) -> None:
    mknod = v1.Capability(add_capabilities=["MKNOD", "SYS_RAWIO"])
    found = attempt(crun, "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem", capabilities=mknod)
    assert found == "head: /tmp/mem: Operation not permitted"


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("bpf", (BPF, 0, 0)),
        ("finit_module", (0, b"", 0)),
        ("kexec_load", (0, 0, 0, 0)),
        ("open_by_handle_at", (0, b"12345678", 0)),
        ("perf_event_open", (b"x" * 128, 0, -1, -1, 0)),
        ("quotactl", (0, 0, 0, 0)),
        ("settimeofday", (b"x" * 16, 0)),
        ("swapon", (b"/x", 0)),
    ],
)
def test_a_system_call_over_the_kernel_is_refused(crun: Bench, call: str, arguments: tuple[int | bytes, ...]) -> None:
    assert called(crun, call, *arguments) == "EPERM"


@pytest.mark.parametrize(("call", "arguments"), [("add_key", (b"user", b"n", b"v", 1, -2)), ("userfaultfd", (0,))])
def test_a_system_call_that_no_namespace_bounds_is_not_there(
    crun: Bench, call: str, arguments: tuple[int | bytes, ...]
) -> None:
    assert called(crun, call, *arguments) in ("EPERM", "ENOSYS")


def test_the_refused_calls_work_without_the_profile(crun: Bench) -> None:
    unconfined = Profile(profile_type=Profile.Unconfined)
    assert called(crun, "add_key", b"user", b"n", b"v", 1, -2, seccomp=unconfined) == ""


def test_who_may_trace_the_init_of_a_sandbox_finds_no_way_around_the_masks(crun: Bench, tmp_path: Path) -> None:
    rootfs = tmp_path / "init"
    rootfs.mkdir()
    (rootfs / "pause").write_bytes(pause.program(crun.host.architecture))
    (rootfs / "pause").chmod(0o755)
    pod, init = crun.sandbox(), f"{crun.id}-init"
    tracer = context(
        namespace_options=v1.NamespaceOption(), capabilities=v1.Capability(add_capabilities=["SYS_PTRACE"])
    )
    attempts = (
        "ls /proc/1/root/pause",
        "echo x > /proc/1/root/proc/sys/kernel/core_pattern",
        "echo x > /proc/1/root/proc/sys/vm/drop_caches",
        "cat /proc/1/root/proc/keys",
    )
    script = "; ".join(f"({each}) 2>&1" for each in attempts)
    with crun.started(init_spec(pod, init, rootfs, crun.host), init) as pid:
        shared = replace(pod, namespaces={**pod.namespaces, "pid": Path(f"/proc/{pid}/ns/pid")})
        found = crun.run(crun.spec(config(tracer, command=["sh", "-c", script]), shared)).output
    assert found.splitlines() == [
        "/proc/1/root/pause",
        "sh: can't create /proc/1/root/proc/sys/kernel/core_pattern: Read-only file system",
        "sh: can't create /proc/1/root/proc/sys/vm/drop_caches: Read-only file system",
    ]


def test_packets_cannot_be_forged(crun: Bench) -> None:
    assert called(crun, "socket", AF_PACKET, SOCK_RAW, 0) == "EPERM"


def test_the_kernels_log_cannot_be_read(crun: Bench) -> None:
    assert called(crun, "syslog", 4, b"x" * 64, 64) == "EPERM"


def test_a_setuid_program_gives_its_rights_unless_that_is_forbidden(crun: Bench) -> None:
    user = v1.Int64Value(value=1000)
    assert called(crun, "setuid", 0, mode=0o4755, run_as_user=user) == ""


def test_no_new_privileges_takes_the_rights_of_a_setuid_program(crun: Bench) -> None:
    user = v1.Int64Value(value=1000)
    assert called(crun, "setuid", 0, mode=0o4755, run_as_user=user, no_new_privs=True) == "EPERM"


def test_an_ordinary_user_has_no_capability_even_where_the_container_has(crun: Bench) -> None:
    added = v1.Capability(add_capabilities=["SYS_ADMIN"])
    found = attempt(crun, "grep CapEff /proc/self/status", run_as_user=v1.Int64Value(value=1000), capabilities=added)
    assert found.split() == ["CapEff:", "0" * 16]


def test_processes_of_the_host_are_neither_seen_nor_reached(crun: Bench) -> None:
    script = "echo /proc/[0-9]*; kill -9 -1 2>/dev/null; ls /proc/1/root/ | grep -c sandbox; echo alive"
    assert attempt(crun, script).split() == ["/proc/1", "0", "alive"]


def test_files_of_the_host_are_not_reached_by_climbing(crun: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    script = f"cat /../../../..{tmp_path}/secret /proc/1/root{tmp_path}/secret /proc/self/cwd/../../..{tmp_path}/secret"
    assert "of the host" not in attempt(crun, script)


def test_processes_are_counted(crun: Bench) -> None:
    limits = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
    assert attempt(crun, limits) == "2048"


def test_dev_cannot_be_filled_with_the_hosts_memory(crun: Bench) -> None:
    assert "No space left" in attempt(crun, "dd if=/dev/zero of=/dev/x bs=1M count=80 2>&1")


def test_orders_to_the_runtime_in_annotations_are_not_passed_on(crun: Bench) -> None:
    wanted = config(annotations={"run.oci.keep_original_groups": "1", "run.oci.handler": "wasm"})
    assert "annotations" not in crun.spec(wanted, crun.sandbox())


def test_even_a_privileged_container_has_namespaces_of_its_own(crun: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    script = f"echo /proc/[0-9]*; cat {tmp_path}/secret"
    wanted = config(context(privileged=True), command=["sh", "-c", script])
    found = crun.run(crun.spec(wanted, crun.sandbox(linux(privileged=True)))).output
    assert found.splitlines()[0] == "/proc/1"
    assert "of the host" not in found
