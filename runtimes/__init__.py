"""The backends, one package each. A backend depends on ``cri`` and on ``runtimes.shared``, never on another."""
