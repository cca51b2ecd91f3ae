"""CRI's filters: prefix of an id, labels ANDed and exact, state; and the order of lists."""

from cri import filters
from cri.v1 import api_pb2 as v1

PODS = [
    v1.PodSandbox(id="aaa1", created_at=1, state=v1.SANDBOX_READY, labels={"app": "web", "tier": "front"}),
    v1.PodSandbox(id="aab2", created_at=3, state=v1.SANDBOX_NOTREADY, labels={"app": "web"}),
    v1.PodSandbox(id="aa", created_at=2, state=v1.SANDBOX_READY),
]
CONTAINERS = [
    v1.Container(id="c1", pod_sandbox_id="aaa1", created_at=1, state=v1.CONTAINER_RUNNING, labels={"a": "1"}),
    v1.Container(id="c2", pod_sandbox_id="aab2", created_at=2, state=v1.CONTAINER_EXITED),
]


def pods(**wanted: object) -> list[str]:
    return [each.id for each in filters.sandboxes(PODS, v1.PodSandboxFilter(**wanted))]  # type: ignore[arg-type]


def containers(**wanted: object) -> list[str]:
    return [each.id for each in filters.containers(CONTAINERS, v1.ContainerFilter(**wanted))]  # type: ignore[arg-type]


def test_no_filter_selects_everything_newest_first() -> None:
    assert pods() == ["aab2", "aa", "aaa1"]


def test_a_unique_prefix_of_an_id_selects_one() -> None:
    assert pods(id="aab") == ["aab2"]


def test_an_exact_id_wins_over_longer_ones() -> None:
    assert pods(id="aa") == ["aa"]


def test_an_ambiguous_prefix_selects_nothing() -> None:
    assert pods(id="a") == []


def test_labels_are_anded_and_exact() -> None:
    assert pods(label_selector={"app": "web"}) == ["aab2", "aaa1"]
    assert pods(label_selector={"app": "web", "tier": "front"}) == ["aaa1"]
    assert pods(label_selector={"app": "we"}) == []


def test_the_zero_of_the_state_enum_is_a_filter_when_set() -> None:
    assert pods(state=v1.PodSandboxStateValue(state=v1.SANDBOX_READY)) == ["aa", "aaa1"]


def test_the_parts_of_a_filter_are_anded() -> None:
    assert pods(id="aab2", state=v1.PodSandboxStateValue(state=v1.SANDBOX_READY)) == []


def test_containers_are_selected_by_their_sandbox() -> None:
    assert containers(pod_sandbox_id="aaa1") == ["c1"]
    assert containers(pod_sandbox_id="aab") == ["c2"]
    assert containers(pod_sandbox_id="zz") == []


def test_stats_speak_of_running_containers_only() -> None:
    wanted = filters.container_filter(v1.ContainerStatsFilter(label_selector={"a": "1"}))
    assert [each.id for each in filters.containers(CONTAINERS, wanted)] == ["c1"]
    assert filters.containers(CONTAINERS, filters.container_filter(v1.ContainerStatsFilter(id="c2"))) == []
