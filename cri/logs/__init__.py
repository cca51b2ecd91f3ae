"""The CRI log format: what a container printed, one line a record, in a file that outlives it.

A record is ``TIMESTAMP STREAM TAG TEXT``: RFC 3339 time with nanoseconds, ``stdout`` or ``stderr``, ``F`` for a line
that is whole or the end of one and ``P`` for a part that goes on in the next record, then the text.
``record`` is the format and does no I/O, ``writer`` writes files, ``reader`` reads and follows them.
"""

from cri.logs.reader import follow, read
from cri.logs.record import MAX_LINE_BYTES, Record, parse_record
from cri.logs.writer import LogWriter, last_record

__all__ = ["MAX_LINE_BYTES", "LogWriter", "Record", "follow", "last_record", "parse_record", "read"]
