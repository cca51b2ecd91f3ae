"""Stopping on the native engine: what holds for every engine."""

from tests.runtimes.behaviour.stopping import *  # noqa: F403
