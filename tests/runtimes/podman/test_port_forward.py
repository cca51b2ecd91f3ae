"""PortForward on Podman: what holds for every engine."""

from tests.runtimes.behaviour.port_forward import *  # noqa: F403
