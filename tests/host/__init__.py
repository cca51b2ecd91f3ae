"""What the tests, the demo and the benchmarks need of the host: engines, images, a registry, a leak check.

What may live here: code that starts and removes things on the host for the sake of a run. Nothing here is
shipped, and nothing here knows what minicri is: the product meets these engines as it meets a user's, at an
address.

An engine that already answers is used as it is and left as it was found. Where none does, a private one is
started with its own data, socket, bridge and cgroup, all of which hang off one numbered `Slot`
and go with it.
"""
