"""Volumes that an image asks for: they are their container's, and go with it. Tests that each engine's package takes
in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cri.v1 import api_pb2 as v1
from tests.host.images import Image, docker_archive
from tests.runtimes.behaviour.hand import VolumesHand
from tests.runtimes.pods import Pod

REFERENCE = "example.test/with-a-volume:1"


@pytest.fixture
def image(hand: VolumesHand) -> Iterator[str]:
    hand.load(docker_archive(REFERENCE, image=Image(volumes=["/data"])))
    yield REFERENCE
    hand.remove_image(REFERENCE)


async def test_the_volumes_of_an_image_go_with_the_container(pod: Pod, hand: VolumesHand, image: str) -> None:
    created = await pod.create("true", "created", image=image)
    running = await pod.run("exec sleep 600", "running", image=image)
    stopped = await pod.run("exec sleep 600", "stopped", image=image)
    await pod.stop(stopped)
    made = {volume for each in (created, running, stopped) for volume in hand.volumes_of(each)}
    assert len(made) == 3
    for each in (created, running, stopped):
        await pod.remove(each)
    assert not made & hand.volumes()


async def test_the_volumes_of_an_image_go_with_the_sandbox(pod: Pod, hand: VolumesHand, image: str) -> None:
    made = hand.volumes_of(await pod.create("true", "created", image=image))
    made |= hand.volumes_of(await pod.run("exec sleep 600", "running", image=image))
    assert len(made) == 2
    await pod.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=pod.sandbox_id))
    assert not made & hand.volumes()
