"""Stats and metrics on Docker: what holds for every engine."""

from tests.runtimes.behaviour.stats import *  # noqa: F403
