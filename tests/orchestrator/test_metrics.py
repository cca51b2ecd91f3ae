"""What the orchestrator's metrics count."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from minicri.metrics import TaskMetrics
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import State
from tests.orchestrator.driving import QUICK, eventually, orchestrating, reach, spec
from tests.orchestrator.engine import Engine


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


async def test_transitions_restarts_and_states_are_counted(tmp_path: Path) -> None:
    metrics, store, engine = TaskMetrics(), MemoryStore(), Engine()
    seen = metrics.registry
    async with (
        orchestrating(engine, tmp_path, store=store) as orchestrator,
        metrics.counting(orchestrator, store),
    ):
        await orchestrator.submit([spec()], actor="test")
        await reach(orchestrator, "web", State.RUNNING)
        await orchestrator.put("web", State.SCHEDULED, actor="test")
        await eventually(lambda: value(seen, "minicri_restarts_total") == 1)
        await eventually(lambda: value(seen, "minicri_transitions_total", source="Scheduled", target="Running") == 2)
        async for event in orchestrator.watch(0):
            if event.reason == "RolledOut":
                break
        await metrics.refresh(store)
    assert value(seen, "minicri_tasks", state="Running") == 1
    assert value(seen, "minicri_tasks", state="Failed") == 0
    assert value(seen, "minicri_rollouts", progress="complete") == 1


async def test_calls_to_the_engine_are_counted_by_their_code() -> None:
    metrics, engine = TaskMetrics(), Engine()
    engine.fail_next("list_containers", NotFound("nothing"))
    runtime = metrics.counted(engine)
    with pytest.raises(NotFound):
        await runtime.list_containers(v1.ListContainersRequest())
    await runtime.list_containers(v1.ListContainersRequest())
    for code in ("OK", "NOT_FOUND"):
        assert value(metrics.registry, "minicri_engine_calls_total", method="ListContainers", code=code) == 1
    assert value(metrics.registry, "minicri_engine_call_seconds_count", method="ListContainers") == 2


async def test_probes_passes_and_what_is_collected_are_counted(tmp_path: Path) -> None:
    metrics, store, engine = TaskMetrics(), MemoryStore("ours"), Engine()
    seen = metrics.registry
    async with orchestrating(engine, tmp_path, store=MemoryStore("ours")) as lost:
        await lost.submit([spec("lost")], actor="test")
        await reach(lost, "lost", State.RUNNING)
    async with (
        Orchestrator(engine, store, state_dir=tmp_path, settings=QUICK, measure=metrics) as orchestrator,
        metrics.counting(orchestrator, store),
    ):
        probes = {"liveness": {"exec": ["true"], "period": "10ms"}}
        await orchestrator.submit([spec(probes=probes)], actor="test")
        await orchestrator.orphans.reap(actor="test", wait=True)
        await eventually(lambda: value(seen, "minicri_collected_total", kind="orphan") == 1)
        await eventually(
            lambda: (
                value(seen, "minicri_probe_results_total", kind="liveness", result="success") > 0
                and value(seen, "minicri_reconcile_seconds_count") > 0
            )
        )
    metrics.collected("log", 3)
    assert value(seen, "minicri_collected_total", kind="log") == 3


def test_the_page_about_metrics_names_each_of_them_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    suffix = {"counter": "_total", "gauge": "", "histogram": ""}
    there = {family.name + suffix[family.type] for family in TaskMetrics().registry.collect()}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bminicri_\w+", page)} == there
