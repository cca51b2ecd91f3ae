"""Attach on Docker: what holds for every engine."""

from tests.runtimes.behaviour.attach import *  # noqa: F403
