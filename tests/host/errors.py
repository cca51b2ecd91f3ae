"""The two ways in which the host can fail a run."""


class Unavailable(Exception):
    """The host lacks something that is needed; the message is one line and says what to install or change."""


class EngineError(Exception):
    """An engine was there but did not do its part; the message ends with the last lines of its log."""
