"""One container of a pod as what a task manifest would say of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from manifests.taking import Fields

_PULLS = {"Always": "always", "IfNotPresent": "missing", "Never": "never"}
_PROBES = {"startupProbe": "startup", "readinessProbe": "readiness", "livenessProbe": "liveness"}
_TIMES = {
    "periodSeconds": "period",
    "timeoutSeconds": "timeout",
    "initialDelaySeconds": "initial_delay",
    "successThreshold": "successes",
    "failureThreshold": "failures",
}
_REFERENCE = re.compile(r"\$\$|\$\(([^)]+)\)")


def container(
    spec: Fields,
    volumes: Mapping[str, dict[str, Any] | None],
    everyone: Mapping[str, Any],
    ports: list[dict[str, Any]],
) -> dict[str, Any]:
    """What ``spec`` says. ``everyone`` is what its pod says for all; published ``ports`` are added to the pod's."""
    env: dict[str, str] = {}
    for one in (one for one in spec.each("env") if not one.refused("valueFrom")):
        value = one.take("value")
        env[str(one.take("name"))] = _expanded("" if value is None else str(value), env)
    made: dict[str, Any] = {key: spec.take(key) for key in ("name", "image", "tty")}
    made["command"], made["args"] = (_expanded(spec.take(key), env) for key in ("command", "args"))
    made["env"] = env
    made["workdir"] = spec.take("workingDir")
    made["pull"] = spec.word("imagePullPolicy", _PULLS, "missing")
    with spec.inside("resources") as resources, resources.inside("limits") as limits:
        made["resources"] = {key: value for key in ("cpu", "memory") if (value := limits.take(key)) is not None}
        resources.skip("requests")
    with spec.inside("securityContext") as security:
        _security({**everyone, **user_fields(security)}, security, made)
    named: dict[str, Any] = {}
    for port in spec.each("ports"):
        number = port.take("containerPort")
        named[str(port.take("name"))] = number
        if (host := port.take("hostPort")) is not None:
            more = {"host_ip": port.take("hostIP"), "protocol": str(port.take("protocol") or "TCP").lower()}
            ports.append({"container": number, "host": host, **{key: one for key, one in more.items() if one}})
        port.skip("protocol", "hostIP")
    made["mounts"] = [mount for one in spec.each("volumeMounts") if (mount := _mount(one, volumes)) is not None]
    made["probes"] = {ours: _probe(spec.inside(key), named) for key, ours in _PROBES.items() if spec.has(key)}
    with spec.inside("lifecycle") as lifecycle:
        hooks = {"postStart": "post_start", "preStop": "pre_stop"}
        made["hooks"] = {ours: _command(lifecycle.inside(key)) for key, ours in hooks.items() if lifecycle.has(key)}
    for key, usual in (("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File")):
        spec.accept(key, usual)
    spec.accept("stdin", "false")
    return {key: value for key, value in made.items() if value not in (None, {}, [], "")}


def _expanded(value: Any, env: Mapping[str, str]) -> Any:
    """``$(NAME)`` is a variable of the container; one that it does not have stays, and ``$$`` is a dollar."""
    if isinstance(value, list):
        return [_expanded(one, env) for one in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda found: env.get(found[1], found[0]) if found[1] else "$", value)


def _mount(one: Fields, volumes: Mapping[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    name, target = str(one.take("name")), one.take("mountPath")
    readonly = one.flag("readOnly")
    if name not in volumes:
        one.found.wrong.append(((*one.path, "name"), f"{name!r} is not among the volumes"))
    source = volumes.get(name)
    return None if source is None else {**source, "target": target, "readonly": readonly}


def user_fields(security: Fields) -> dict[str, Any]:
    """What a pod may say for all its containers, and each for itself."""
    found = {"user": security.take("runAsUser"), "group": security.take("runAsGroup")}
    with security.inside("seccompProfile") as profile:
        words = {"RuntimeDefault": "runtime", "Unconfined": "unconfined"}
        found["seccomp"] = profile.word("type", words, "") or None
    if found["user"] not in (None, "0", 0):
        security.accept("runAsNonRoot", "true")
    security.accept("runAsNonRoot", "false")
    return {key: value for key, value in found.items() if value is not None}


def _security(said: dict[str, Any], security: Fields, made: dict[str, Any]) -> None:
    user, group = said.pop("user", None), said.pop("group", None)
    if user is not None:
        made["user"] = f"{user}:{group}" if group is not None else str(user)
    elif group is not None:
        security.refuse("runAsGroup", "is not supported without runAsUser")
    said["privileged"] = security.flag("privileged")
    said["readonly_rootfs"] = security.flag("readOnlyRootFilesystem")
    security.accept("allowPrivilegeEscalation", "true")
    said["no_new_privileges"] = security.take("allowPrivilegeEscalation") is not None
    with security.inside("capabilities") as capabilities:
        said["capabilities"] = {key: names for key in ("add", "drop") if (names := capabilities.take(key))}
    made["security"] = {key: value for key, value in said.items() if value}


def _probe(spec: Fields, ports: Mapping[str, Any]) -> dict[str, Any]:
    with spec:
        probe: dict[str, Any] = {ours: spec.take(key) for key, ours in _TIMES.items()}
        for key, ours in (("httpGet", "http"), ("tcpSocket", "tcp"), ("grpc", "grpc")):
            if spec.has(key):
                with spec.inside(key) as asked:
                    port = asked.take("port")
                    target = {"port": ports.get(str(port), port), "host": asked.take("host")}
                    if key == "httpGet":
                        headers = {one.take("name"): one.take("value") for one in asked.each("httpHeaders")}
                        scheme = str(asked.take("scheme") or "HTTP").lower()
                        target |= {"path": asked.take("path"), "scheme": scheme, "headers": headers}
                    if key == "grpc":
                        target["service"] = asked.take("service")
                    probe[ours] = {name: value for name, value in target.items() if value not in (None, {})}
        if spec.has("exec"):
            probe["exec"] = spec.inside("exec").command()
    return {name: value for name, value in probe.items() if value is not None}


def _command(hook: Fields) -> Any:
    with hook:
        return hook.inside("exec").command()
