"""Pods and Deployments as tasks, and the name of every field that is not one's."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
import yaml

from manifests import manifest
from manifests.kubernetes import translate
from manifests.spec import TaskSpec
from manifests.taking import Translated

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: shop
  labels: {app: shop}
  annotations: {who: cares}
spec:
  containers:
  - name: page
    image: busybox
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: page
        image: busybox
"""


def parsed(text: str, warnings: list[str] | None = None) -> TaskSpec:
    [spec] = manifest.parse(text, "yaml", source="shop.yaml", warnings=warnings)
    return spec


def refusal(text: str) -> list[str]:
    with pytest.raises(manifest.ManifestInvalid) as caught:
        manifest.parse(text, "yaml", source="shop.yaml")
    return caught.value.message.splitlines()


def pod(container: str = "", more: str = "") -> str:
    return POD + textwrap.indent(container, "    ") + "\n" + textwrap.indent(more, "  ")


def translated(container: str = "", more: str = "") -> Translated:
    document = yaml.load(pod(container, more), yaml.BaseLoader)
    return translate("Pod", {key: document[key] for key in ("metadata", "spec")})


def container(text: str, more: str = "") -> dict[str, Any]:
    found = translated(text, more)
    assert not found.wrong
    assert not found.unsupported
    return found.task


def test_a_pod_is_a_task_that_restarts_always_and_has_half_a_minute_to_stop() -> None:
    spec = parsed(POD)
    assert spec == TaskSpec.model_validate(
        {"name": "shop", "image": "busybox", "labels": {"app": "shop"}, "restart": "always", "stop": {"grace": 30}}
    )


def test_what_a_container_says_is_said_of_the_task() -> None:
    text = """
        command: [sh, -c]
        args: ["echo $(GREETING) $$(HOME) $(NOBODY)"]
        workingDir: /srv
        env: [{name: WHO, value: world}, {name: GREETING, value: hello $(WHO)}, {name: EMPTY}]
        imagePullPolicy: IfNotPresent
        resources: {limits: {cpu: 250m, memory: 64Mi}, requests: {cpu: 100m}}
        ports: [{name: http, containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1}, {containerPort: 81}]
        tty: true
    """
    spec = parsed(pod(textwrap.dedent(text)))
    assert spec.command == ("sh", "-c")
    assert spec.args == ("echo hello world $(HOME) $(NOBODY)",)
    assert spec.env == {"WHO": "world", "GREETING": "hello world", "EMPTY": ""}
    assert (spec.workdir, spec.tty, spec.pull) == ("/srv", True, "missing")
    assert (spec.resources.cpu, spec.resources.memory) == (0.25, 64 * 2**20)
    assert [(port.host_ip, port.host, port.container) for port in spec.network.ports] == [("127.0.0.1", 8080, 80)]


def test_what_a_pod_says_is_said_of_the_task() -> None:
    more = """
        restartPolicy: OnFailure
        terminationGracePeriodSeconds: 5
        hostname: front
        hostAliases: [{ip: 10.1.2.3, hostnames: [db, cache]}]
        dnsPolicy: None
        dnsConfig: {nameservers: [10.0.0.53], options: [{name: ndots, value: "2"}, {name: rotate}]}
        nodeSelector: {kubernetes.io/os: linux, kubernetes.io/arch: arm64}
    """
    spec = parsed(pod("", textwrap.dedent(more)))
    assert (spec.restart.policy, spec.stop.grace, spec.platform) == ("on-failure", 5, "linux/arm64")
    assert spec.network.hostname == "front"
    assert spec.network.extra_hosts == {"db": "10.1.2.3", "cache": "10.1.2.3"}
    assert spec.network.dns.options == ("ndots:2", "rotate")


def test_ports_of_a_pod_on_the_hosts_network_need_no_publishing() -> None:
    spec = parsed(pod("ports: [{containerPort: 80, hostPort: 80}]", "hostNetwork: true"))
    assert (spec.network.mode, spec.network.ports) == ("host", ())


def test_the_first_container_is_the_main_one_and_the_others_stand_beside_it() -> None:
    more = "- {name: helper, image: other}\ninitContainers:\n- {name: first, image: busybox, command: ['true']}\n"
    spec = parsed(pod("", more))
    assert [one.name for one in spec.everyone] == ["first", "helper", "shop"]
    assert [one.stop.grace for one in spec.everyone] == [30, 30, 30]


def test_host_folders_and_scratch_folders_are_mounts() -> None:
    text = "volumeMounts:\n- {name: site, mountPath: /www, readOnly: true}\n- {name: tmp, mountPath: /scratch}\n"
    task = container(text, "volumes: [{name: site, hostPath: {path: /srv/site}}, {name: tmp, emptyDir: {}}]\n")
    assert task["mounts"] == [
        {"source": "/srv/site", "target": "/www", "readonly": True},
        {"volume": "tmp", "target": "/scratch", "readonly": False},
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            "httpGet: {path: /up, port: http, scheme: HTTPS}",
            {"http": {"port": "8080", "path": "/up", "scheme": "https"}},
        ),
        ("tcpSocket: {port: 5432}", {"tcp": {"port": "5432"}}),
        ("grpc: {port: 9000, service: up}", {"grpc": {"port": "9000", "service": "up"}}),
        ("exec: {command: [test, -e, /up]}", {"exec": ["test", "-e", "/up"]}),
    ],
)
def test_probes_keep_their_kind_their_times_and_named_ports(asked: str, expected: dict[str, Any]) -> None:
    times = "periodSeconds: 5\n  timeoutSeconds: 2\n  failureThreshold: 4"
    text = f"ports: [{{name: http, containerPort: 8080}}]\nreadinessProbe:\n  {asked}\n  {times}\n"
    task = container(text)
    assert task["probes"] == {"readiness": {**expected, "period": "5", "timeout": "2", "failures": "4"}}


def test_commands_after_the_start_and_before_the_stop_are_hooks() -> None:
    text = "lifecycle: {postStart: {exec: {command: [warm]}}, preStop: {exec: {command: [drain]}}}\n"
    assert container(text)["hooks"] == {"post_start": ["warm"], "pre_stop": ["drain"]}


def test_the_security_of_a_container_goes_over_that_of_its_pod() -> None:
    text = "securityContext: {runAsUser: 7, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}\n"
    more = "securityContext: {runAsUser: 1000, runAsGroup: 2000, runAsNonRoot: true, supplementalGroups: [5]}\n"
    task = container(text, more)
    assert task["user"] == "7:2000"
    assert task["security"] == {"supplemental_groups": ["5"], "readonly_rootfs": True, "no_new_privileges": True}


def test_a_deployment_is_a_task_with_replicas_and_a_rollout() -> None:
    spec = parsed(DEPLOYMENT)
    assert (spec.name, spec.replicas, spec.labels, spec.restart.policy) == ("shop", 4, {"app": "shop"}, "always")
    assert (spec.rollout.max_surge, spec.rollout.max_unavailable, spec.rollout.deadline) == (1, 1, 600)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("{type: Recreate}", (0, 4)),
        ("{rollingUpdate: {maxSurge: 30%, maxUnavailable: 30%}}", (2, 1)),
        ("{rollingUpdate: {maxSurge: 0, maxUnavailable: 10%}}", (0, 1)),
        ("{rollingUpdate: {maxSurge: 3, maxUnavailable: 0}}", (3, 0)),
    ],
)
def test_the_strategy_of_a_deployment_is_the_rollouts_limits(strategy: str, expected: tuple[int, int]) -> None:
    rollout = parsed(DEPLOYMENT + f"  strategy: {strategy}\n  minReadySeconds: 3\n").rollout
    assert (rollout.max_surge, rollout.max_unavailable, rollout.min_ready) == (*expected, 3)


def test_every_field_that_is_not_supported_is_named_with_its_line() -> None:
    text = pod("env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]", "priorityClassName: high\n")
    assert refusal(text) == [
        "shop.yaml:12: spec.containers[0].env[0].valueFrom: is not supported",
        "shop.yaml:13: spec.priorityClassName: is not supported",
    ]


def test_where_warnings_are_wanted_what_is_not_supported_is_left_out() -> None:
    warnings: list[str] = []
    spec = parsed(pod("volumeMounts: [{name: data, mountPath: /data}]", "volumes: [{name: data, nfs: {}}]\n"), warnings)
    assert spec.mounts == ()
    assert warnings == ["shop.yaml:13: spec.volumes[0].nfs: is not supported"]


def test_other_kinds_in_the_file_are_refused_or_left_out() -> None:
    text = f"{POD}---\napiVersion: v1\nkind: Service\nmetadata: {{name: shop}}\n"
    said = "shop.yaml:14 document 2: kind: 'Service' is not supported; supported are Task, Pod, Deployment"
    assert refusal(text) == [said]
    warnings: list[str] = []
    assert parsed(text, warnings).name == "shop"
    assert warnings == [said]


def test_a_list_of_kubernetes_is_its_items() -> None:
    items = textwrap.indent(POD.strip(), "  ").replace("  apiVersion", "- apiVersion", 1)
    assert parsed(f"apiVersion: v1\nkind: List\nitems:\n{items}\n").name == "shop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POD.replace("name: shop", "name: Shop"), "shop.yaml:5: metadata.name: 'Shop': must be lower-case letters"),
        (POD.replace("image: busybox", "image: -x"), "shop.yaml:10: spec.containers[0]: image: '-x': must be"),
        (POD.replace("v1", "v2"), "shop.yaml:2: apiVersion: 'v2' must be 'v1'"),
        (DEPLOYMENT.replace("replicas: 4", "replicas: many"), "spec.replicas: 'many': must be a whole number"),
        (DEPLOYMENT.replace("{app: shop}}\n  t", "{app: x}}\n  t"), "does not match the labels of the template"),
        (
            pod("", "restartPolicy: Sometimes\n"),
            "spec.restartPolicy: 'Sometimes': must be Always or OnFailure or Never",
        ),
        (pod("volumeMounts: [{name: x, mountPath: /x}]"), "'x' is not among the volumes"),
        (pod("ports: here"), "spec.containers[0].ports: 'here': must be a list"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands_in_the_document(text: str, said: str) -> None:
    assert any(said in line for line in refusal(text))


def test_a_kubernetes_manifest_exports_as_a_task() -> None:
    spec = parsed(DEPLOYMENT)
    assert manifest.parse(manifest.export([spec], "toml"), "toml") == [spec]
