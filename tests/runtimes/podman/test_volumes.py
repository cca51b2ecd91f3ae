"""Volumes that an image asks for, on Podman: what holds for every engine."""

from tests.runtimes.behaviour.volumes import *  # noqa: F403
