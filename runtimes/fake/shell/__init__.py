"""A small ``sh``: enough for the commands that manifests and tests put into ``sh -c``. No real shell is involved.

Understood: ``;``, newline, ``&``, ``&&``, ``||``, ``!``, ``|``; ``if``/``elif``/``else``, ``while``, ``until``,
``for``, ``{ }`` and ``( )``; quotes, backslash, comments; ``$VAR``, ``${VAR}``, ``${VAR:-word}``, ``$?``, ``$$``,
``$!``, ``$#``, ``$@``, ``$1``, ``$(command)``, ``$((1 + 2))``; redirections ``>``, ``>>``, ``<``, ``2>``, ``2>>``,
``>&2``, ``2>&1``, ``&>``; assignments; and as builtins ``:``, ``cd``, ``exit``, ``export``, ``unset``, ``read``,
``set -e``, ``shift``, ``trap``, ``wait``, ``exec``, ``break``, ``continue``. Everything else (functions, ``case``,
globs, here-documents) is refused with a message and exit code 2, never run by halves.
"""

from runtimes.fake.shell.interpreter import sh

__all__ = ["sh"]
