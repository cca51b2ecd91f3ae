"""What `make` installs before there is anything to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host import packages


@pytest.fixture
def empty_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host on which no program is found and no engine answers."""
    monkeypatch.setattr(packages, "_SEARCH", str(tmp_path))
    monkeypatch.setattr(packages, "_listens", lambda path: False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("TEST_DOCKERD", raising=False)


@pytest.mark.usefixtures("empty_host")
def test_a_host_without_an_engine_gets_what_the_native_one_is_made_of() -> None:
    lacking = packages.lacking("demo-native")
    assert {"crun", "conmon", "nftables"} <= set(lacking)
    assert not {"docker.io", "podman", "containerd", "skopeo"} & set(lacking)


@pytest.mark.usefixtures("empty_host")
def test_a_demo_on_docker_gets_docker() -> None:
    assert "docker.io" in packages.lacking("demo-docker")


@pytest.mark.usefixtures("empty_host")
def test_an_engine_that_answers_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_listens", lambda path: path == "/var/run/docker.sock")
    assert "docker.io" not in packages.lacking("demo-docker")


@pytest.mark.usefixtures("empty_host")
@pytest.mark.parametrize("runtime", ["native", "docker", "podman"])
def test_the_demo_needs_less_than_the_tests(runtime: str) -> None:
    assert set(packages.lacking(f"demo-{runtime}")) < set(packages.lacking("test"))


@pytest.mark.usefixtures("empty_host")
def test_a_host_without_apt_is_told_what_to_install() -> None:
    with pytest.raises(SystemExit, match=r"no apt-get.*docker\.io"):
        packages.install(["docker.io"])


def test_an_unknown_purpose_is_refused() -> None:
    assert packages.main(["dance"]) == 2
