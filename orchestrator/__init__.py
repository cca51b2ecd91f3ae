"""The orchestrator: drives a ``cri.Runtime`` and knows no engine.

Deciding (``task``, ``reconcile``, ``spec``) is pure; performing (``worker``, ``loop``) and remembering (``store``)
are not. Only ``cli`` knows every part.
"""
