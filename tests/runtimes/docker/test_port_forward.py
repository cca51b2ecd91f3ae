"""PortForward on Docker: what holds for every engine."""

from tests.runtimes.behaviour.port_forward import *  # noqa: F403
