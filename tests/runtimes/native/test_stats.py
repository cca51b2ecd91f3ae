"""Stats on the native engine: what holds for every engine."""

from tests.runtimes.behaviour.stats import *  # noqa: F403
