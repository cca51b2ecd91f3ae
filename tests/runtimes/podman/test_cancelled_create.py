"""Creates that are given up, on Podman: what holds for every engine."""

from tests.runtimes.behaviour.cancelled_create import *  # noqa: F403
