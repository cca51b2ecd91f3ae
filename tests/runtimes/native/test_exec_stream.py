"""Exec, through the URL on the native engine: what holds for every engine."""

from tests.runtimes.behaviour.exec_stream import *  # noqa: F403
