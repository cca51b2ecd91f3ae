"""The server's own settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri.config import ServerSettings, load
from cri.errors import InvalidArgument


def server(tmp_path: Path, text: str) -> ServerSettings:
    (tmp_path / "minicri.toml").write_text(text)
    return load(ServerSettings, tmp_path / "minicri.toml", environ={}).value


def test_nothing_said_is_auto_on_a_socket() -> None:
    settings = ServerSettings()
    assert settings.runtime == "auto"
    assert settings.listen.startswith("unix:///")


def test_one_line_swaps_the_engine(tmp_path: Path) -> None:
    sections = '[runtimes.docker]\ncall_timeout = 5\n[runtimes.remote]\naddress = "unix:///run/x.sock"\n'
    first = server(tmp_path, f'runtime = "docker"\n{sections}')
    second = server(tmp_path, f'runtime = "remote"\n{sections}')
    assert (first.runtime, second.runtime) == ("docker", "remote")
    assert first.runtimes == second.runtimes


def test_a_backends_section_is_its_own_config(tmp_path: Path) -> None:
    from runtimes.remote import RemoteConfig

    settings = server(tmp_path, '[runtimes.remote]\naddress = "unix:///run/x.sock"\ntimeout = 7\n')
    assert settings.runtimes == {"remote": RemoteConfig(address="unix:///run/x.sock", timeout=7)}
    assert settings.model_dump(mode="json")["runtimes"]["remote"]["timeout"] == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('runtime = "dokcer"', "no such runtime; did you mean 'docker'?"),
        ('runtime = "unix://x"', "address 'unix://x'"),
        ('listen = "/run/x.sock"', "address '/run/x.sock' looks like a path; write unix:///run/x.sock"),
        ('metrics = "unix:///run/x.sock"', "metrics are served at host:port only"),
        ("grace = -1", "grace: -1: must be greater than or equal to 0"),
        ('[log]\nlevel = "loud"', "log.level: 'loud': must be 'debug', 'info', 'warning' or 'error'"),
        ("[runtimes.dokcer]", "runtimes.dokcer: unknown key; did you mean 'docker'?"),
        ('[runtimes.remote]\nadress = "x"', "runtimes.remote.adress: unknown key; did you mean 'address'?"),
        ("[runtimes.remote]", "runtimes.remote.address: is required"),
        ('[tls]\ncert = "a"\nkey = "b"', "tls.ca: is required"),
    ],
)
def test_a_wrong_server_setting_is_named_with_the_way_out(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument) as failure:
        server(tmp_path, text)
    assert told in failure.value.message
