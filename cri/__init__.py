"""The contract: Kubernetes CRI v1 in Python, served, called and plugged into.

What may live here: the generated messages, the ``Runtime`` class, its errors, the server and the client over the
table of RPCs, streaming, the log format, configuration and the plug-in point. Nothing here knows an engine or the
orchestrator.
"""
