"""Events on the native engine: what holds for every engine."""

from tests.runtimes.behaviour.events import *  # noqa: F403
