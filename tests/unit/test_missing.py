"""What is said of something that is not there: what is known, and nothing that is only likely as if it were."""

from __future__ import annotations

from typing import Any

import pytest

from kernelgw.sessions import packages
from kernelgw.sessions.hints import hint
from kernelgw.sessions.missing import NO_NETWORK, NOT_FOR_PACKAGES

OFF, ONLINE, OTHERS = "off", "packages", {"allow": ["example.org"]}


def missed(module: str, **facts: Any) -> dict[str, Any]:
    similar = facts.pop("similar", [])
    known = {"name": module, "installed": False, "standard": False, **facts}
    error = {"name": "ModuleNotFoundError", "value": f"No module named {module!r}", "module": known}
    return {**error, "similar": similar} if similar else error


def said(error: dict[str, Any], network: Any = ONLINE, language: str = "python") -> str:
    found = hint(error, network, language)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("cv2", "opencv-python-headless"),
        ("sklearn.linear_model", "scikit-learn"),
        ("PIL", "pillow"),
        ("bs4", "beautifulsoup4"),
        ("yaml", "pyyaml"),
        ("dotenv", "python-dotenv"),
        ("torch", "torch"),
    ],
)
def test_a_module_s_package_is_told_with_the_call_that_installs_it(module: str, package: str) -> None:
    assert f"`%pip install {package}` installs it." in said(missed(module))
    # What pip does not get is not promised, and how to allow it is said.
    for network, why in ((OFF, NO_NETWORK), (OTHERS, NOT_FOR_PACKAGES)):
        found = said(missed(module), network)
        assert f"`%pip install {package}` would install it" in found
        assert found.endswith(why)
    assert "network" not in said(missed(module), "open")


def test_a_module_that_is_known_to_no_table_gets_no_certainty() -> None:
    found = said(missed("zzz_unheard_of"))
    assert "may come with a package that is called zzz_unheard_of" in found
    assert "if there is one" in found


@pytest.mark.parametrize(
    ("module", "installed", "package"),
    [
        ("google.generativeai", True, "google-generativeai"),
        ("google.cloud.storage", False, "google-cloud-storage"),
        ("google.unheard_of", True, None),
        ("google", False, None),
    ],
)
def test_a_name_that_many_packages_share_is_no_package_s(module: str, installed: bool, package: str | None) -> None:
    found = hint(missed(module, installed=installed), ONLINE, "python")
    assert found == (
        package and f"The module '{module}' is in the package {package}; `%pip install {package}` installs it."
    )


def test_other_systems_standard_library_is_not_to_be_installed() -> None:
    assert said(missed("winreg")) == "'winreg' is in Python's standard library on Windows alone."
    found = said(missed("tkinter"))
    assert "standard library" in found
    assert "pip" not in found


def test_without_facts_of_the_kernel_the_message_is_enough() -> None:
    error = {"name": "ModuleNotFoundError", "value": "No module named 'cv2'"}
    assert "opencv-python-headless" in said(error)
    assert hint({**error, "value": "something else"}, ONLINE, "python") is None
    assert hint({**error, "name": "ValueError"}, ONLINE, "python") is None


def test_a_misspelt_module_is_told_what_there_is_and_nothing_to_install() -> None:
    found = said(missed("numppy", similar=["numpy"]))
    assert found == "There is no module 'numppy'. Of similar names there are: 'numpy'."
    # A package of its own that happens to be called nearly like something else.
    assert "`%pip install httpx`" in said(missed("httpx", similar=["http"]))


def test_a_part_that_an_installed_package_does_not_have_is_not_to_be_installed() -> None:
    found = said(missed("pandas.foo", installed=True))
    assert found.startswith("'pandas' is installed")
    assert "pip" not in found


@pytest.mark.parametrize(
    ("file", "folder"),
    [("src/helpers.py", "src"), ("../helpers.py", ".."), ("src/helpers/__init__.py", "src")],
)
def test_a_module_of_the_workspace_is_told_where_it_is(file: str, folder: str) -> None:
    found = said(missed("helpers", file=file))
    assert f"sys.path.insert(0, {folder!r})" in found
    assert "pip" not in found


@pytest.mark.parametrize("file", ["helpers.py", "helpers/__init__.py"])
def test_a_module_that_is_where_python_looks_gets_no_advice(file: str) -> None:
    assert hint(missed("helpers", file=file), ONLINE, "python") is None


@pytest.mark.parametrize("name", ["x; rm -rf /", "a`b`", "é", "x\ny", "", "-r", "x" * 300])
def test_what_is_no_module_s_name_is_not_repeated(name: str) -> None:
    assert (
        hint({**missed("x"), "module": {"name": name}, "value": f"No module named {name!r}"}, ONLINE, "python") is None
    )


def test_what_a_library_says_that_it_needs() -> None:
    value = "Missing optional dependency 'openpyxl'.  Use pip or conda to install openpyxl."
    assert "`%pip install openpyxl`" in said({"name": "ImportError", "value": value})
    assert hint({"name": "ImportError", "value": "cannot import name 'x' from 'y'"}, ONLINE, "python") is None


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ("Cannot find module 'leftpad'\nRequire stack:\n- /workspace/[cell]", "npm install leftpad"),
        ("Cannot find package 'leftpad' imported from /workspace/a.mjs", "npm install leftpad"),
        ("Cannot find module '@scope/name'", "npm install @scope/name"),
    ],
)
@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_a_node_package(value: str, command: str, language: str) -> None:
    error = {"name": "Error", "value": value}
    assert f"`{command}` in a Bash cell installs it." in said(error, language=language)
    assert said(error, OFF, language).endswith(NO_NETWORK)


@pytest.mark.parametrize("module", ["lodash/fp", "@scope/name/part"])
def test_a_part_of_a_node_package_may_be_what_is_missing(module: str) -> None:
    found = said({"name": "Error", "value": f"Cannot find module '{module}'"}, language="javascript")
    package = module.rpartition("/")[0]
    assert found.startswith(f"The package '{package}' is not installed, or has no such part; `npm install {package}`")


@pytest.mark.parametrize(
    "value",
    [
        "Cannot find module './helpers'\nRequire stack:\n",
        "Cannot find module '/workspace/nope.mjs' imported from /workspace/a.mjs",
        "Cannot find module '$(reboot)'",
        "Cannot find module 'Upper Case'",
        "the module was not found",
    ],
)
def test_what_is_no_node_package_is_not_to_be_installed(value: str) -> None:
    assert hint({"name": "Error", "value": value}, ONLINE, "javascript") is None


def test_node_s_words_mean_nothing_in_python() -> None:
    assert hint({"name": "Error", "value": "Cannot find module 'leftpad'"}, ONLINE, "python") is None


@pytest.mark.parametrize("value", ["Cannot find module 'fss'", "No such built-in module: node:fss"])
def test_a_misspelt_module_of_node_s_own(value: str) -> None:
    found = said({"name": "Error", "value": value}, language="javascript")
    assert "'fs'" in found
    assert "npm" not in found


def test_a_file_of_node_s_that_is_nearly_there() -> None:
    error = {"name": "Error", "value": "ENOENT: no such file or directory, open 'dta.csv'", "similar": ["data.csv"]}
    assert said(error, language="javascript") == "There is no such file. Of similar names there are: 'data.csv'."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'dta.csv'"),
        ("ExitCode", "exit code 1 from `cat dta.csv`"),
    ],
)
def test_a_file_that_is_nearly_there(name: str, value: str) -> None:
    error = {"name": name, "value": value}
    assert "'data.csv', 'data.tsv'" in said({**error, "similar": ["data.csv", "data.tsv"]})
    assert hint(error, ONLINE, "python") is None


def test_a_name_that_is_nearly_there() -> None:
    error = {"name": "NameError", "value": "name 'custmers' is not defined"}
    assert said({**error, "similar": ["customers"]}) == "Of similar names there are: 'customers'."
    assert "`import math`" in said({**error, "module": {"name": "math", "standard": True, "installed": False}})
    assert hint(error, ONLINE, "python") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("127: bash: line 1: nope: command not found", "No program 'nope' was found"),
        ("bash: ffmpeg: command not found", "apt"),
        ("bash: line 3: tsc: command not found", "`npm install -g typescript` in a Bash cell"),
        ("bash: pytest: command not found", "`pip install pytest` in a Bash cell"),
        ("bash: sudo: command not found", "'sudo' is of no use here"),
        ("nope: command not found (exit code 127, line 3)", "No program 'nope' was found"),
        ("exit code 127 from `bash -c nope`", "does not find a command"),
        ("127", "does not find a command"),
    ],
)
def test_a_program_that_is_not_there(value: str, words: str) -> None:
    assert words in said({"name": "ExitCode", "value": value}, language="bash")


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "1270",
        "12",
        "exit code 127 by `exit` in line 1",
        "exit code 127 from `./nope.sh`",
        "./nope.sh: command not found (exit code 127, line 1)",
        "my command not found",
        "126: bash: ./x: Permission denied",
    ],
)
def test_other_failures_of_a_shell_get_no_advice(value: str) -> None:
    assert hint({"name": "ExitCode", "value": value}, ONLINE, "bash") is None


def test_a_program_that_python_does_not_find() -> None:
    frame = {"file": "/usr/lib/python3.11/subprocess.py", "function": "Popen._execute_child"}
    error = {"name": "FileNotFoundError", "value": "[Errno 2] No such file or directory: 'ffmpeg'", "frames": [frame]}
    assert "No program 'ffmpeg'" in said(error)
    assert hint({**error, "value": "[Errno 2] No such file or directory: './ffmpeg'"}, ONLINE, "python") is None
    assert hint({**error, "frames": [{**frame, "function": "open"}]}, ONLINE, "python") is None
    failed = "Command 'nope' returned non-zero exit status 127."
    assert "127" in said({"name": "CalledProcessError", "value": failed})
    assert hint({"name": "CalledProcessError", "value": failed.replace("127", "1")}, ONLINE, "python") is None


def test_the_tables_hold_only_names_that_may_be_given_to_a_shell() -> None:
    safe = {*packages.MODULES.values(), *packages.SAME}
    assert all(name.replace("-", "").replace(".", "").replace("_", "").isalnum() for name in safe)
    assert not packages.SAME & packages.MODULES.keys()
