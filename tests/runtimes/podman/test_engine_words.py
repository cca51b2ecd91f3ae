"""What Podman writes into a command's output, told from what the command writes."""

from __future__ import annotations

import pytest

from runtimes.podman import engine_words

NOT_FOUND = (
    b"Error: crun: executable file `/none` not found in $PATH: No such file or directory: "
    b"OCI runtime attempted to invoke a command that was not found\n"
)


def test_a_start_that_failed_is_told_in_the_engines_words() -> None:
    assert engine_words.may_be_ours(NOT_FOUND)
    assert engine_words.start_failure(NOT_FOUND).startswith("crun: executable file `/none` not found")
    assert engine_words.start_failure(b"Error: crun: open executable: denied: OCI permission denied\r\n")


@pytest.mark.parametrize("said", [b"Error: no such table\n", b"OCI permission denied\n", NOT_FOUND + b"and more\n"])
def test_what_a_command_says_itself_is_no_failed_start(said: bytes) -> None:
    assert engine_words.start_failure(said) == ""


def test_a_torn_connection_of_the_engines_own_is_no_output() -> None:
    assert engine_words.is_torn(b"Error: read unixpacket @->/proc/self/fd/15/attach: read: connection reset by peer\n")
    assert not engine_words.is_torn(b"Error: read unixpacket\n")
