"""Attach on Podman: what holds for every engine."""

from tests.runtimes.behaviour.attach import *  # noqa: F403
