"""Request bodies. What a field means stands in /docs, from here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode: it has half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_unicode)]
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SessionBody(Body):
    """What a session is to be. Read when it is created; ignored when it exists."""

    language: Text | None = Field(None, description="language of executions that name none; `python`")
    environment: Text | None = Field(None, description="name of a declared environment")
    env: dict[Text, Text] | None = Field(None, description="environment variables of its kernels")
    cwd: Text | None = Field(None, description="working directory, relative to the workspace; made if missing")
    idle_timeout_s: Annotated[float, Field(ge=0)] | None = Field(None, description="0 for never")
    network: Literal["off"] | None = Field(None, description="sessions have no network")

    @field_validator("env")
    @classmethod
    def _names(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (value or {}).items():
            if VARIABLE.fullmatch(name) is None or "\0" in text:
                raise ValueError(f"{name!r} cannot be an environment variable")
        return value

    @field_validator("cwd")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value and (value.startswith("/") or ".." in value.split("/") or "\0" in value):
            raise ValueError("must lie in the workspace")
        return value


class NewSessionBody(SessionBody):
    id: Text | None = Field(None, description="made here when not given")


class ExecutionBody(Body):
    code: Text = Field(description="one cell")
    language: Text | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        None, description="deadline: interrupted then, killed if it does not stop"
    )
    stdin: bool = Field(False, description="whether input() asks the caller; without, it raises")
    on_disconnect: Literal["detach", "interrupt"] = "detach"


class InputBody(Body):
    value: Text
