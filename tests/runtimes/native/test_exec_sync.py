"""ExecSync on the native engine: what holds for every engine."""

from tests.runtimes.behaviour.exec_sync import *  # noqa: F403
