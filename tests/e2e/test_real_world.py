"""Manifests as people have them, on every engine: a site with its database, Kubernetes' own kinds, pinned addresses."""

from __future__ import annotations

import os

import pytest

from orchestrator.task import State
from tests.conformance.kit import free_port
from tests.conformance.web import page_at
from tests.e2e.engines import Configured
from tests.e2e.test_swap_tasks import ACTOR, outcome, output, tasks_of


async def test_a_site_waits_for_its_database_and_answers_from_it(engine: Configured) -> None:
    port = free_port()
    file = engine.example("site.yaml", _8088=str(port), **{"minicri-site": f"minicri-site-{os.getpid()}"})
    async with tasks_of(engine, file) as orchestrator:
        site = await orchestrator.until("site", lambda task: task is not None and task.ready)
        assert site is not None
        assert (await page_at("127.0.0.1", port, "/cgi-bin/page")).endswith(b"<h1>three visitors</h1>\n")
        assert await outcome(orchestrator, "migrate") == (State.COMPLETED, 0, "Completed")
        migrated = await orchestrator.get("migrate")
        assert migrated.finished_at is not None
        assert site.started_at is not None
        assert migrated.finished_at <= site.started_at


async def test_a_deployment_of_kubernetes_has_its_replicas_ready_and_is_scaled(engine: Configured) -> None:
    async with tasks_of(engine, engine.example("deployment.yaml")) as orchestrator:
        for name in ("hello-0", "hello-1"):
            await orchestrator.until(name, lambda task: task is not None and task.ready)
        await orchestrator.declarer.scale("hello", 1, actor=ACTOR)
        await orchestrator.until("hello-1", lambda task: task is None)
        assert (await orchestrator.get("hello-0")).state is State.RUNNING


async def test_a_pod_of_kubernetes_runs_what_comes_first_and_ends_with_its_main_container(engine: Configured) -> None:
    async with tasks_of(engine, engine.example("pod.yaml")) as orchestrator:
        await orchestrator.wait_settled(["reader"])
        assert await outcome(orchestrator, "reader") == (State.COMPLETED, 0, "Completed")
        assert ("stdout", "written first") in await output(orchestrator, "reader")


async def test_a_pinned_task_has_its_address_and_its_platform(engine: Configured) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the example is for x86-64")
    subnet = f"10.79.{os.getpid() % 250}"
    swaps = {"10_79_0": subnet, "minicri-pinned": f"minicri-pinned-{os.getpid()}"}
    async with tasks_of(engine, engine.example("pinned.yaml", **swaps)) as orchestrator:
        await orchestrator.wait_settled(["pinned"])
        assert await output(orchestrator, "pinned") == [("stdout", f"{subnet}.20/24"), ("stdout", "x86_64")]
