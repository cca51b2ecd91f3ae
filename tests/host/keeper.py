"""The process that outlives a run: `python -m tests.host.keeper N` cleans slot N when its holder dies."""

import signal
import sys

from tests.host.slot import RELEASED, sweep_after_death


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != RELEASED:
        sweep_after_death(int(sys.argv[1]))


if __name__ == "__main__":
    main()
