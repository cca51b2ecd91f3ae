"""Stats and metrics on Podman: what holds for every engine."""

from tests.runtimes.behaviour.stats import *  # noqa: F403
