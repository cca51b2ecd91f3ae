"""The CRI log format: what a container printed, one line a record, in a file that outlives it.

A record is ``TIMESTAMP STREAM TAG TEXT``: RFC 3339 time with nanoseconds, ``stdout`` or ``stderr``, ``F`` for a line
that is whole or the end of one and ``P`` for a part that goes on in the next record, then the text.
``record`` is the format and does no I/O, ``writer`` writes files, ``reader`` reads and follows them, ``series``
several of one output.
"""

from cri.logs.reader import follow, read, records
from cri.logs.record import MAX_LINE_BYTES, Record, parse_record
from cri.logs.series import follow_on, newest
from cri.logs.writer import LogWriter

__all__ = ["MAX_LINE_BYTES", "LogWriter", "Record", "follow", "follow_on", "newest", "parse_record", "read", "records"]
