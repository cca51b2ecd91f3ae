from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseError

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels

SANDBOX = v1.RunPodSandboxRequest(
    config=v1.PodSandboxConfig(
        metadata=v1.PodSandboxMetadata(name="web", namespace="shop", uid="u", attempt=3),
        labels={"a": "é", "": "empty key"},
        annotations={"long": "x" * 100_000, 'quo"te': "\n\t\\"},
        log_directory="/var/log/pods/web",
        linux=v1.LinuxPodSandboxConfig(
            security_context=v1.LinuxSandboxSecurityContext(
                run_as_user=v1.Int64Value(value=0), namespace_options=v1.NamespaceOption(pid=v1.CONTAINER)
            )
        ),
    ),
    runtime_handler="runc",
)


def container() -> v1.CreateContainerRequest:
    return v1.CreateContainerRequest(
        pod_sandbox_id="abc",
        config=v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name="c", attempt=1),
            envs=[v1.KeyValue(key="PASSWORD", value=b"hunter2")],
            mounts=[v1.Mount(host_path="/a", container_path="/b", propagation=v1.PROPAGATION_BIDIRECTIONAL)],
            stop_signal=v1.SIGNAL_SIGQUIT,
        ),
        sandbox_config=SANDBOX.config,
    )


def test_a_sandbox_comes_back_from_its_labels_unaltered() -> None:
    assert labels.sandbox_spec(labels.sandbox_labels(SANDBOX, 1)) == SANDBOX


def test_a_container_comes_back_with_its_log_directory_and_without_its_environment() -> None:
    spec = labels.container_spec(labels.container_labels(container(), 1))
    assert spec.sandbox_config.log_directory == SANDBOX.config.log_directory
    assert not spec.config.envs
    spec.config.envs.extend(container().config.envs)
    assert spec.config == container().config


def test_no_label_shows_a_value_of_the_environment() -> None:
    assert "hunter2" not in str(labels.container_labels(container(), 1))


def test_labels_of_strangers_are_a_parse_error() -> None:
    with pytest.raises(ParseError):
        labels.sandbox_spec({})


def test_a_record_of_a_newer_minicri_can_still_be_read() -> None:
    written = labels.sandbox_labels(SANDBOX, 1)
    written[labels.SPEC] = '{"a_field_of_tomorrow": 1,' + written[labels.SPEC][1:]
    assert labels.sandbox_spec(written) == SANDBOX


@pytest.mark.parametrize(("text", "expected"), [("1795497875533551264", 1795497875533551264), ("", 0), ("soon", 0)])
def test_the_time_of_creation_keeps_its_nanoseconds(text: str, expected: int) -> None:
    assert labels.created_ns({labels.CREATED_NS: text}) == expected
