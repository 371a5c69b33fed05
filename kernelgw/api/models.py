"""Request bodies. What a field means stands in /docs, from here."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


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


class LimitsBody(Body):
    """What a session may use up, all its processes together where nothing else is said."""

    memory_bytes: Annotated[int, Field(ge=128 << 20)] | None = Field(None, description="temporary files included")
    processes: Annotated[int, Field(ge=16)] | None = Field(None, description="threads included")
    cpus: Annotated[float, Field(ge=0.01, le=4096)] | None = Field(None, description="cores kept busy")
    open_files: Annotated[int, Field(ge=64)] | None = Field(None, description="of each process")
    file_bytes: Annotated[int, Field(ge=1 << 20)] | None = Field(None, description="of each file")
    workspace_bytes: Annotated[int, Field(ge=16 << 20)] | None = Field(None, description="all files of the workspace")
    tmp_bytes: Annotated[int, Field(ge=1 << 20)] | None = Field(None, description="all files in /tmp")
    output_bytes: Annotated[int, Field(ge=1 << 16)] | None = Field(None, description="kept of one execution")


class Allow(Body):
    allow: Annotated[list[Text], Field(max_length=1000)] = Field(description='"host", "*.suffix", "host:port"')


class SessionBody(Body):
    """What a session is to be. Read when it is created; ignored when it exists."""

    language: Text | None = Field(None, description="language of executions that name none; `python`")
    environment: Text | None = Field(None, description="name of a declared environment")
    env: dict[Text, Text] | None = Field(None, description="environment variables of its kernels")
    cwd: Text | None = Field(None, description="working directory, relative to the workspace; made if missing")
    idle_timeout_s: Annotated[float, Field(ge=0)] | None = Field(None, description="0 for never")
    limits: LimitsBody | None = Field(None, description="less than the gateway's own limits, each of them")
    network: Literal["off", "packages", "full"] | Allow | None = Field(
        None, description="off (the default), packages (what pip and npm need), full, or only some hosts"
    )

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
    kernel: Text | None = Field(None, description="its name, when not the session's one of that language; made if new")
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        None, description="deadline: interrupted then, killed if it does not stop"
    )
    stdin: bool | Text = Field(
        False, description="true: input() asks the caller, by an event; a text: all that it may read, and then the end"
    )
    on_disconnect: Literal["detach", "interrupt"] = "detach"


class KernelBody(Body):
    language: Text | None = Field(None, description="as its name says, or the session's, when not given")


class InputBody(Body):
    value: Text


class KeyBody(Body):
    scope: Literal["full", "debug"] = Field(description="debug: the Jupyter door, looking, and the stop button")
    name: Annotated[Text, Field(max_length=200)] = Field("", description="for people")
    session_id: Annotated[Text, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = Field(
        None, description="the only session that it is for; with scope debug"
    )
    expires_s: Annotated[float, Field(gt=0, le=10 * 365 * 86_400)] | None = Field(None, description="null for never")

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("is printed by `kernelgw keys list`, and has characters that cannot be")
        return value

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if self.session_id is not None and self.scope == "full":
            raise ValueError("a key for one session has the scope debug")
        return self


class ReplayBody(Body):
    keep: bool = Field(False, description="whether the session in which the cells ran again is to stay")
