"""What is done once, when the state is opened: a reboot is recognised, and what dead processes left half done is taken
away. Several processes may open it at once; one does the work."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from runtimes.native import container_status, kernel
from runtimes.native.places import Places
from runtimes.native.records import Phase, Records

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def notice_reboot(places: Places, records: Records) -> bool:
    """Note that nothing runs any more if this is the first opening since the boot; whether it was. The caller has the
    lock of the whole state."""
    boot = _BOOT.read_text()
    try:
        if places.epoch.read_text() == boot:
            return False
    except FileNotFoundError:
        pass
    clear(places.run, keep=places.locks)
    now = time.time_ns()
    for sandbox in records.sandboxes.where("phase", Phase.READY):
        records.sandboxes.update(sandbox.id, [Phase.READY], phase=Phase.STOPPED, finished_ns=now)
    for container in records.containers.all():
        ended = {"exit_code": container_status.VANISHED, "reason": "Unknown", "finished_ns": now}
        if container.phase in (Phase.RUNNING, Phase.STARTING):
            records.containers.update(container.id, [container.phase], phase=Phase.EXITED, **ended)
    places.epoch.write_text(boot)
    return True


def clear(directory: Path, *, keep: Path) -> None:
    """Remove all that is in ``directory`` but ``keep``, and unmount what is mounted there first. Directories stay."""
    for target in reversed(mounts_below(directory)):
        kernel.unmount(target, kernel.MNT_DETACH)
    for each in directory.iterdir():
        if each == keep:
            continue
        if each.is_dir() and not each.is_symlink():
            for below in each.iterdir():
                shutil.rmtree(below) if below.is_dir() and not below.is_symlink() else below.unlink()
        else:
            each.unlink()


def mounts_below(directory: Path) -> list[Path]:
    """Where something is mounted below ``directory``, in the order of mounting."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if target != directory and target.is_relative_to(directory):
            found.append(target)
    return found
