"""A settings model with everything in it that the loader has to know about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cri import config
from cri.config import load
from cri.errors import InvalidArgument
from cri.fields import Sections


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Inner(Strict):
    level: Literal["low", "high"] = "low"
    password: SecretStr = SecretStr("")


class Red(Strict):
    shade: int = Field(default=1, ge=0)
    token: SecretStr | None = None


class Blue(Strict):
    depth: float = 0.5


class Sample(Strict):
    """A model with everything in it that the loader has to know about."""

    name: str = "nobody"
    count: int = 1
    flag: bool = False
    items: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    inner: Inner = Inner()
    maybe: Inner | None = None
    colours: Annotated[
        dict[str, Red | Blue],
        Sections(names=lambda: ["red", "blue"], model_for=lambda name: {"red": Red, "blue": Blue}[name]),
    ] = {}


def sample(tmp_path: Path, text: str = "", suffix: str = ".toml", **kwargs: Any) -> config.Loaded[Sample]:
    path = tmp_path / f"config{suffix}"
    path.write_text(text)
    return load(Sample, path, environ=kwargs.pop("environ", {}), **kwargs)


def refusal(tmp_path: Path, text: str = "", suffix: str = ".toml", **kwargs: Any) -> str:
    with pytest.raises(InvalidArgument) as failure:
        sample(tmp_path, text, suffix, **kwargs)
    return failure.value.message
