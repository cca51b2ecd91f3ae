from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.v1 import api_pb2 as v1
from runtimes.shared.names import MAX_LENGTH, container_name, sandbox_name

ENGINE_RULE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

part = st.text(st.sampled_from("ab_-./é "), max_size=5) | st.text(max_size=200)
metadata = st.builds(
    v1.PodSandboxMetadata, name=part, namespace=part, uid=part, attempt=st.integers(min_value=0, max_value=2)
)


def test_a_plain_name_can_be_read() -> None:
    wanted = v1.PodSandboxMetadata(name="web", namespace="shop", uid="u-1", attempt=2)
    assert sandbox_name(wanted) == "minicri_sandbox_web_shop_u-1_2"


def test_a_container_is_named_after_its_sandbox() -> None:
    sandbox = v1.PodSandboxMetadata(name="web", namespace="shop", uid="u-1")
    name = container_name(v1.ContainerMetadata(name="nginx", attempt=1), sandbox, "4f2a91c07d3e99")
    assert name == "minicri_container_nginx_web_shop_4f2a91c07d3e_1"


@given(metadata)
def test_every_name_is_one_that_engines_take(wanted: v1.PodSandboxMetadata) -> None:
    assert ENGINE_RULE.fullmatch(sandbox_name(wanted))
    assert len(sandbox_name(wanted)) <= MAX_LENGTH


@given(metadata, metadata)
def test_different_metadata_never_share_a_name(one: v1.PodSandboxMetadata, other: v1.PodSandboxMetadata) -> None:
    assert (sandbox_name(one) == sandbox_name(other)) == (one == other)


@pytest.mark.parametrize(("left", "right"), [(("a_b", "c"), ("a", "b_c")), (("a", "b"), ("b", "a"))])
def test_a_separator_inside_a_part_makes_no_collision(left: tuple[str, str], right: tuple[str, str]) -> None:
    names = {sandbox_name(v1.PodSandboxMetadata(name=name, namespace=space)) for name, space in (left, right)}
    assert len(names) == 2
