"""The namespaces of a user's engine, and the one process that holds them: process 1 of them, which does nothing.

For a process with one thread. That the holder lives is told by a lock that it inherits.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from cri import platforms
from cri.errors import CRIError, FailedPrecondition
from runtimes.native import kernel
from runtimes.native.kernel import Namespace
from runtimes.native.network import inside
from runtimes.native.rootless import subordinate
from runtimes.shared import pause

STATE = "state"
"""Below the user's run directory: what is in there is seen inside of the namespaces only, and goes with them."""

PORTS = "ports.sock"
"""Where slirp4netns is told which ports of the host to listen on."""

NO_NETWORK = "no-network"
"""A file that says why sandboxes can have no network of their own."""

_JOINED = {"user": Namespace.USER, "mnt": Namespace.MNT, "ipc": Namespace.IPC, "pid": Namespace.PID}
_PATIENCE = 30.0


def ensure(run: Path) -> int:
    """The pid of the holder, which is made if there is none. The caller is the only one who does that. Raises
    FailedPrecondition."""
    lock = os.open(run / "holder", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(lock, 32, 0))
        return _make(run, lock)
    finally:
        os.close(lock)


def join(pid: int) -> None:
    """Go into the namespaces, as their root; into the processes' with the next fork. The network stays the host's."""
    files = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _JOINED}
    for kind, file in files.items():
        kernel.enter(file, _JOINED[kind])
        os.close(file)
    _become_root()


def _make(run: Path, lock: int) -> int:
    said, say = os.pipe()
    mapped, map_done = os.pipe()
    lives, life = os.pipe()
    middle = os.fork()
    if not middle:
        os.close(map_done)
        os.close(said)
        os.close(lives)
        _be_parent_of_holder(run, lock, say, mapped, life)
    for each in (say, mapped, life):
        os.close(each)
    try:
        with os.fdopen(said) as words:
            _expect(words.readline())
            for kind, program in subordinate.PROGRAMS.items():
                own = os.getuid() if kind == "uid" else os.getgid()
                _map([program, str(middle), *subordinate.mapping(own, subordinate.ranges(kind))])
            os.write(map_done, b"\n")
            pid = int(_expect(words.readline()))
            # The end of its words is its becoming the program that does nothing.
            if failure := words.read():
                _expect(failure)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % pid, 0)
        _connect(run, pid, lives)
    finally:
        os.close(map_done)
        os.close(lives)
        os.waitpid(middle, 0)
    return pid


def _expect(line: str) -> str:
    if not line or line.startswith("!"):
        raise FailedPrecondition(
            f"the native engine needs root, or user namespaces, which this host refuses: "
            f"{line[1:].strip() or 'no reason given'}; see sysctls user.max_user_namespaces, "
            f"kernel.unprivileged_userns_clone and "
            f"kernel.apparmor_restrict_unprivileged_userns"
        )
    return line


def _map(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    if done.returncode:
        raise FailedPrecondition(f"{command[0]} refuses: {done.stderr.strip()}; see /etc/subuid and /etc/subgid")


def _be_parent_of_holder(run: Path, lock: int, say: int, mapped: int, life: int) -> None:
    """Never returns."""
    try:
        kernel.unshare(Namespace.USER)
        os.write(say, b"unshared\n")
        if not os.read(mapped, 1):
            os._exit(1)
        _become_root()
        kernel.unshare(Namespace.MNT | Namespace.PID | Namespace.IPC | Namespace.NET)
        # What the host mounts later is seen here, and not the other way round.
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        if child := os.fork():
            # Before the child's own words: it waits for ours.
            os.write(say, b"%d\n" % child)
            os._exit(0)
        _be_holder(run, lock, life)
    except (OSError, CRIError) as error:
        os.write(say, f"!{error}\n".encode())
    finally:
        os._exit(1)


def _be_holder(run: Path, lock: int, life: int) -> None:
    os.setsid()
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    inside.loopback()
    state = run / STATE
    state.mkdir(mode=0o711, exist_ok=True)
    kernel.mount("tmpfs", state, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0711")
    program = state / "hold"
    program.write_bytes(pause.program(platforms.host().architecture))
    program.chmod(0o700)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for kept in (lock, life):
        os.set_inheritable(kept, True)
    os.execv(program, ["minicri-hold"])  # noqa: S606


def _connect(run: Path, pid: int, lives: int) -> None:
    """Connect the network of the holder to the host's, as long as it lives; where that cannot be, note why."""
    for left in (NO_NETWORK, PORTS):
        (run / left).unlink(missing_ok=True)
    if why := _start_slirp(pid, lives, run / PORTS):
        (run / NO_NETWORK).write_text(why)


def _start_slirp(pid: int, lives: int, ports: Path) -> str:
    program = shutil.which("slirp4netns")
    if program is None:
        return "install the package slirp4netns"
    ready, tell = os.pipe()
    words = os.memfd_create("words", os.MFD_CLOEXEC)
    command = [
        *(program, "--configure", "--mtu=65520", "--disable-host-loopback"),
        *(f"--exit-fd={lives}", f"--ready-fd={tell}", f"--api-socket={ports}", str(pid), "tap0"),
    ]
    try:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            pass_fds=(lives, tell),
            start_new_session=True,
        )
        os.close(tell)
        if os.read(ready, 1):
            return ""
        said = os.pread(words, 4096, 0).decode(errors="replace").strip().splitlines()
        return f"slirp4netns does not start: {said[-1] if said else 'it said nothing'}"
    finally:
        os.close(ready)
        os.close(words)


def _become_root() -> None:
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
