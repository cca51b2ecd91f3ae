"""Exec, through the URL on Podman: what holds for every engine."""

from tests.runtimes.behaviour.exec_stream import *  # noqa: F403
