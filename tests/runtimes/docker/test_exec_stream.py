"""Exec, through the URL on Docker: what holds for every engine."""

from tests.runtimes.behaviour.exec_stream import *  # noqa: F403
