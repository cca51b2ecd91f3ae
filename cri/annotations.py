"""What CRI has no field for, as documented annotations. They are part of the contract: every backend reads these
names and no other, and refuses (InvalidArgument) a value that it cannot honour rather than dropping it.
"""

from __future__ import annotations

PREFIX = "minicri.io/"

NETWORK = PREFIX + "network"
"""On a sandbox: name of the network to join. ``none`` for loopback only. Absent: the engine's default bridge.
The host's network is CRI's own field (namespace option NODE)."""

NETWORK_ALIASES = PREFIX + "network-aliases"
"""On a sandbox: comma-separated extra names by which others on the named network find it."""

IPV4 = PREFIX + "ipv4"
"""On a sandbox: static IPv4 address on the named network, e.g. ``10.77.0.10``."""

IPV6 = PREFIX + "ipv6"
"""On a sandbox: static IPv6 address on the named network."""

NETWORK_SUBNETS = PREFIX + "network-subnets"
"""On a sandbox: comma-separated CIDRs to give the named network when it has to be created."""

MAC_ADDRESS = PREFIX + "mac-address"
"""On a sandbox: hardware address of its interface, e.g. ``02:42:ac:11:00:10``."""

EXTRA_HOSTS = PREFIX + "extra-hosts"
"""On a sandbox: comma-separated ``name=address`` lines for /etc/hosts; the address ``host-gateway`` is the host."""

PLATFORM = PREFIX + "platform"
"""On a sandbox, container or ImageSpec: ``os/arch`` or ``os/arch/variant``, e.g. ``linux/arm64/v8``. The most
specific place wins: ImageSpec, then container, then sandbox."""
