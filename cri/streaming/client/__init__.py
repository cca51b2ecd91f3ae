"""The other end: run, attach to and forward through a streaming URL, ours or any CRI endpoint's. Asynchronous.

What may live here: client handshakes and sessions. Commands go over WebSocket (v5, else v4) or SPDY; port-forward goes
over SPDY, which every endpoint has. A URL works once, so a failed call needs a new one from the RPC.
"""

from cri.streaming.client.command import RemoteCommand, open_command, run_command
from cri.streaming.client.port_forward import PortForwarder, forward_ports

__all__ = ["PortForwarder", "RemoteCommand", "forward_ports", "open_command", "run_command"]
