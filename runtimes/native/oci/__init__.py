"""From CRI's messages to what an OCI runtime takes.

``lookups.look`` reads what has to be known of the host, ``spec.container_spec`` decides: a pure function from facts to
the runtime's ``config.json``.
"""
