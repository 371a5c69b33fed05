"""Options: where they come from, in which order, what they refuse, and that docs/settings.md has them all.

`python -m tests.unit.test_settings` writes that page.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kernelgw import settings as module
from kernelgw.settings import BadSetting, Settings, load, names

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
# Defaults that depend on the machine, as text.
DEPENDS = MappingProxyType({"data_dir": "`/var/lib/kernelgw` as root, else `~/.local/share/kernelgw`"})
HEAD = """# Options

Each can be given to `kernelgw serve` as `--name`, in the environment as `KERNELGW_NAME`, or in a TOML file
(`--config FILE`) as `name`; the first of these wins. The table is made from `kernelgw/settings.py` by
`python -m tests.unit.test_settings`.

| option | environment | default | |
|---|---|---|---|
"""


def default_of(option: dataclasses.Field[Any]) -> str:
    if option.name in DEPENDS:
        return DEPENDS[option.name]
    if isinstance(option.default, tuple):
        return ", ".join(option.default) or "none"
    return f"`{option.default}`" if option.default != "" else "none"


def page() -> str:
    rows = []
    for option in dataclasses.fields(Settings):
        flag = "--" + option.name.replace("_", "-")
        environment = module.PREFIX + option.name.upper()
        rows.append(f"| `{flag}` | `{environment}` | {default_of(option)} | {option.metadata['help']} |")
    return HEAD + "\n".join(rows) + "\n"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "kernelgw.toml"


def test_the_documented_options_are_the_options() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.unit.test_settings`"


def test_every_option_has_a_help_text() -> None:
    for option in dataclasses.fields(Settings):
        assert len(option.metadata["help"]) > 10, option.name
        assert "\n" not in option.metadata["help"]


def test_every_type_is_one_that_can_be_given_as_text() -> None:
    assert {str(option.type) for option in dataclasses.fields(Settings)} <= {
        *("int", "float", "str", "Path", "tuple[str, ...]")
    }


def test_what_is_given_nowhere_has_its_default() -> None:
    assert load({}, {}) == Settings()
    assert Settings().host == "127.0.0.1"


def test_the_command_line_wins_over_the_environment_over_the_file(toml: Path) -> None:
    toml.write_text('host = "file"\nport = 1\npool_size = 7\n')
    environ = {"KERNELGW_HOST": "environment", "KERNELGW_PORT": "2"}
    found = load({"host": "line", "port": None}, environ, toml)
    assert (found.host, found.port, found.pool_size) == ("line", 2, 7)


def test_zero_and_empty_are_given_values(toml: Path) -> None:
    toml.write_text('port = 5\ntoken = "t"\n')
    found = load({"port": 0}, {"KERNELGW_TOKEN": ""}, toml)
    assert (found.port, found.token) == (0, "")


def test_other_variables_and_arguments_that_are_none_are_no_options() -> None:
    assert load({"host": None}, {"KERNELGW_URL": "x", "HOST": "x", "kernelgw_host": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "8123", 8123),
        ("timeout_s", "1.5", 1.5),
        ("timeout_s", "2", 2.0),
        ("token", "0123", "0123"),
        ("data_dir", "/a/b", Path("/a/b")),
        ("allowed_hosts", "a.example, b.example,", ("a.example", "b.example")),
        ("allowed_origins", "", ()),
    ],
)
def test_text_becomes_the_option_s_type(name: str, text: str, value: Any) -> None:
    for found in (load({name: text}, {}), load({}, {"KERNELGW_" + name.upper(): text})):
        assert getattr(found, name) == value
        assert type(getattr(found, name)) is type(value) or name == "data_dir"


def test_toml_has_types_of_its_own(toml: Path) -> None:
    toml.write_text('port = 1\ntimeout_s = 2\nallowed_hosts = ["a", " b "]\ntoken = "x"\ndata_dir = "/d"\n')
    found = load({}, {}, toml)
    assert (found.port, found.timeout_s, found.token, found.data_dir) == (1, 2.0, "x", Path("/d"))
    assert found.allowed_hosts == ("a", "b")
    assert isinstance(found.timeout_s, float)


def test_the_data_directory_is_absolute_and_home_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load({"data_dir": "~/x"}, {}).data_dir == tmp_path / "x"
    assert load({"data_dir": "y"}, {}).data_dir == tmp_path / "y"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", ""),
        ("port", "80.5"),
        ("pool_size", "2 kernels"),
        ("timeout_s", "1m"),
        ("memory_bytes", "4G"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name) as refused:
        load({name: value}, {})
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("pool_size", "-1"),
        ("max_sessions", "-1"),
        ("max_starting", "0"),
        ("max_body_bytes", "-1"),
        ("timeout_s", "-1"),
        ("timeout_s", "nan"),
        ("grace_s", "-0.5"),
        ("uid_first", "-1"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        load({name: value}, {})


@pytest.mark.parametrize("line", ["allowed_hosts = 5", "allowed_hosts = [1, 2]", "port = [1]", "data_dir = 7"])
def test_a_toml_value_of_the_wrong_type_is_refused(toml: Path, line: str) -> None:
    toml.write_text(line)
    with pytest.raises(BadSetting, match=line.split()[0]):
        load({}, {}, toml)


def test_unknown_names_in_a_file_are_refused_all_of_them(toml: Path) -> None:
    toml.write_text('prot = 1\nport = 2\n[section]\nhost = "x"\n')
    with pytest.raises(BadSetting, match="prot, section"):
        load({}, {}, toml)


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_file_that_is_no_toml_is_refused_by_name(toml: Path, content: bytes) -> None:
    toml.write_bytes(content)
    with pytest.raises(BadSetting, match=r"kernelgw\.toml"):
        load({}, {}, toml)


def test_a_file_that_cannot_be_read_is_refused(toml: Path, tmp_path: Path) -> None:
    for path in (toml, tmp_path):
        with pytest.raises(BadSetting):
            load({}, {}, path)


def test_names_are_all_options() -> None:
    assert set(names()) == set(Settings.__dataclass_fields__)


if __name__ == "__main__":
    PAGE.write_text(page())
