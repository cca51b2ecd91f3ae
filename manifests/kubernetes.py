"""Kubernetes' ``Pod`` (v1) and ``Deployment`` (apps/v1) as what a task manifest would say instead. Pure, and plain data
on both sides: whether the values are right is for the task's model to judge.

A pod's first container is the task's main one. Whatever has no counterpart is named, by field, as not supported; only
what changes nothing here is passed over: annotations, what a server fills in, and requests, which place a pod on a
machine where there is no choice of machines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from manifests.kubernetes_container import container, user_fields
from manifests.taking import Fields, Translated

KINDS: Mapping[str, str] = {"Pod": "v1", "Deployment": "apps/v1"}
"""The kinds, and the ``apiVersion`` of each."""

_FILLED_IN = ("annotations", "creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_POLICIES = {"Always": "always", "OnFailure": "on-failure", "Never": "never"}
_GRACE = "30"
"""Seconds that Kubernetes gives a pod to stop when it says nothing."""


def translate(kind: str, data: Mapping[str, Any]) -> Translated:
    """One document of ``kind``, less ``kind`` and ``apiVersion``."""
    found = Translated()
    with Fields(data, (), found) as document:
        document.skip("status")
        with document.inside("metadata") as metadata:
            found.task["name"] = metadata.take("name")
            labels = metadata.take("labels") or {}
            metadata.skip(*_FILLED_IN)
            metadata.accept("namespace", "default")
        found.places[("name",)] = ("metadata", "name")
        if kind == "Pod":
            with document.inside("spec") as spec:
                _pod(spec, found)
        else:
            with document.inside("spec") as spec:
                labels = {**labels, **_deployment(spec, found)}
        found.task["labels"] = labels
    found.task = {key: value for key, value in found.task.items() if value not in (None, {}, [])}
    return found


def _deployment(spec: Fields, found: Translated) -> Mapping[str, Any]:
    """Fills ``found.task``; the answer is the labels of its pods."""
    replicas = spec.whole("replicas", 1)
    found.task["replicas"] = replicas
    spec.skip("revisionHistoryLimit")
    spec.accept("paused", "false")
    with spec.inside("strategy") as strategy:
        rollout = _strategy(strategy, replicas)
    rollout["min_ready"] = spec.take("minReadySeconds")
    rollout["deadline"] = spec.take("progressDeadlineSeconds")
    found.task["rollout"] = {key: value for key, value in rollout.items() if value is not None}
    with spec.inside("selector") as selector:
        wanted = selector.take("matchLabels") or {}
    with spec.inside("template") as template:
        with template.inside("metadata") as metadata:
            labels: Mapping[str, Any] = metadata.take("labels") or {}
            metadata.skip("name", *_FILLED_IN)
        with template.inside("spec") as pod:
            _pod(pod, found)
    if not wanted.items() <= labels.items():
        found.wrong.append((("spec", "selector", "matchLabels"), "does not match the labels of the template"))
    if found.task["restart"] != "always":
        found.wrong.append((("spec", "template", "spec", "restartPolicy"), "must be Always in a Deployment"))
    return labels


def _strategy(strategy: Fields, replicas: int) -> dict[str, Any]:
    if strategy.word("type", {"RollingUpdate": "RollingUpdate", "Recreate": "Recreate"}, "RollingUpdate") == "Recreate":
        return {"max_surge": 0, "max_unavailable": max(1, replicas)}
    with strategy.inside("rollingUpdate") as update:
        surge = _share(update, "maxSurge", replicas, math.ceil)
        unavailable = _share(update, "maxUnavailable", replicas, math.floor)
    return {"max_surge": surge, "max_unavailable": unavailable or (0 if surge else 1)}


def _share(update: Fields, key: str, replicas: int, rounded: Callable[[float], int]) -> int:
    value = str(update.take(key) or "25%")
    if not re.fullmatch(r"\d+%?", value):
        update.found.wrong.append(((*update.path, key), f"{value!r}: must be a number or a percentage"))
        return 1
    return rounded(replicas * int(value[:-1]) / 100) if value.endswith("%") else int(value)


def _pod(spec: Fields, found: Translated) -> None:
    task = found.task
    task["restart"] = spec.word("restartPolicy", _POLICIES, "always")
    grace = spec.take("terminationGracePeriodSeconds") or _GRACE
    with spec.inside("securityContext") as security:
        everyone = user_fields(security) | {"supplemental_groups": security.take("supplementalGroups")}
    _network(spec, task)
    found.places[("network",)] = spec.path
    for key, ineffective in _INEFFECTIVE.items():
        spec.accept(key, *ineffective)
    with spec.inside("nodeSelector") as selector:
        selector.accept("kubernetes.io/os", "linux")
        if architecture := selector.take("kubernetes.io/arch"):
            task["platform"] = f"linux/{architecture}"
    volumes = dict(_volume(volume) for volume in spec.each("volumes"))
    ports: list[dict[str, Any]] = []
    init = [container(one, volumes, everyone, ports) for one in spec.each("initContainers")]
    beside = [container(one, volumes, everyone, ports) for one in spec.each("containers")]
    for at in range(len(init)):
        found.places[("init", at)] = (*spec.path, "initContainers", at)
    for at in range(len(beside)):
        found.places[("containers", at - 1) if at else ()] = (*spec.path, "containers", at)
    if ports and task["network"].get("mode") != "host":
        task["network"]["ports"] = ports
    for one in (*init, *beside):
        one["stop"] = {"grace": grace}
    if beside:
        main = beside.pop(0)
        del main["name"]  # the task's own
        task.update(main)
    else:
        found.wrong.append(((*spec.path, "containers"), "is required, with one container at least"))
    task["init"], task["containers"] = init, beside


_INEFFECTIVE: Mapping[str, tuple[str, ...]] = {
    "dnsPolicy": ("Default", "ClusterFirst", "ClusterFirstWithHostNet"),
    "schedulerName": ("default-scheduler",),
    "enableServiceLinks": ("false",),
    "automountServiceAccountToken": ("false",),
    "serviceAccountName": ("default",),
    "serviceAccount": ("default",),
    "shareProcessNamespace": ("false",),
    "hostPID": ("false",),
    "hostIPC": ("false",),
    "tolerations": ("[]",),
    "affinity": ("{}",),
    "imagePullSecrets": ("[]",),
}
"""Fields of a pod, and the values with which they ask for nothing."""


def _network(spec: Fields, task: dict[str, Any]) -> None:
    network: dict[str, Any] = {"mode": "host"} if spec.flag("hostNetwork") else {}
    if hostname := spec.take("hostname"):
        network["hostname"] = hostname
    hosts: dict[str, Any] = {}
    for one in spec.each("hostAliases"):
        hosts |= dict.fromkeys(one.take("hostnames") or [], one.take("ip"))
    if hosts:
        network["extra_hosts"] = hosts
    with spec.inside("dnsConfig") as config:
        dns = {key: config.take(other) for key, other in (("servers", "nameservers"), ("searches", "searches"))}
        dns["options"] = [_dns_option(option) for option in config.each("options")]
    if any(dns.values()):
        network["dns"] = {key: value for key, value in dns.items() if value}
        spec.accept("dnsPolicy", "None")
    task["network"] = network


def _dns_option(option: Fields) -> str:
    name, value = option.take("name"), option.take("value")
    return f"{name}:{value}" if value is not None else str(name)


def _volume(volume: Fields) -> tuple[str, dict[str, Any] | None]:
    """A volume's name, and what its mounts have instead of it; None: it is not supported, nor are its mounts."""
    name = str(volume.take("name"))
    mount: dict[str, Any] | None = None
    with volume.inside("hostPath") as host:
        if path := host.take("path"):
            mount = {"source": path}
        host.accept("type", "", "Directory", "File", "Socket")
    if (scratch := volume.take("emptyDir")) is not None:
        with Fields(scratch, (*volume.path, "emptyDir"), volume.found):
            mount = {"volume": name}
    return name, mount
