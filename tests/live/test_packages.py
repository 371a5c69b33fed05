"""pip and npm in a cell, as this machine is set up for them; and what they say where there is no network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .client import JSON, House, Session, text, visiting
from .gateway import MODULE, Gateway

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(240)]

# One small file each, without dependencies.
PYTHON, NODE = "iniconfig", "is-number"
# Less than pip's or npm's own retries take, and than what their timeouts are set to.
AT_ONCE_S = 60
NO_NETWORK = "kernelgw: this session has no network. End it and create it with"
NOT_ALLOWED = "kernelgw: this session may not reach that host. Name it in"
USE_NODE = f"node -e \"console.log('five', require('{NODE}')(5))\""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("packages") / "data", MODULE, pool_size=0)
    with gateway:
        with gateway.client() as client:
            first = Session(client, "first-with-network")
            first.create(network="packages")
            first.value("1")
            first.delete()
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name, timeout=200) as house:
        yield house


def everything(execution: JSON) -> str:
    return text(execution) + text(execution, "stderr")


def test_pip_install_and_import_in_one_cell(house: House) -> None:
    session = house.session(network="packages")
    value = session.value(f"!pip install {PYTHON}\nimport {PYTHON}\nprint('from', {PYTHON}.__file__)", timeout_s=180)
    assert "from /workspace/.packages/" in value
    session.restart()
    assert session.value(f"import {PYTHON}; print({PYTHON}.__file__)").startswith("/workspace/.packages/")
    # Another session has nothing of it.
    assert house.session(network="packages").run(f"import {PYTHON}")["error"]["name"] == "ModuleNotFoundError"


@pytest.mark.parametrize(
    "code",
    [
        f"%pip install {PYTHON}",
        f"import subprocess, sys; subprocess.run([sys.executable, '-m', 'pip', 'install', '{PYTHON}'], check=True)",
    ],
    ids=["magic", "subprocess"],
)
def test_other_ways_to_call_pip(house: House, code: str) -> None:
    session = house.session(network="packages")
    execution = session.run(code, timeout_s=180)
    assert execution["status"] == "completed", execution
    assert session.value(f"import {PYTHON}; print({PYTHON}.__file__)").startswith("/workspace/.packages/")


def test_npm_install_and_require(house: House) -> None:
    session = house.session(network="packages")
    assert "five true" in session.value(f"!npm install {NODE} && {USE_NODE}", timeout_s=180)
    session.restart()
    assert "five true" in session.value(f"!{USE_NODE}")


def test_programs_that_npm_installs_for_all(house: House) -> None:
    session = house.session(network="packages")
    assert "1.2.3" in session.value("!npm install -g semver && semver 1.2.3", timeout_s=180)


OFFLINE = {
    "pip": f"!pip install {PYTHON}",
    "magic": f"%pip install {PYTHON}",
    "npm": f"!npm install {NODE}",
    "subprocess": f"import subprocess, sys; subprocess.run([sys.executable, '-m', 'pip', 'install', '{PYTHON}'])",
    "captured": "import subprocess\n"
    f"print(subprocess.run(['pip', 'install', '{PYTHON}'], capture_output=True, text=True).stderr)",
    "system": f"import os; os.system('npm install {NODE}')",
    "script": f"%%bash\npip install {PYTHON} || true",
    "caught": "import urllib.request\n"
    "try: urllib.request.urlopen('https://example.org')\nexcept OSError as error: print(error)",
}


@pytest.mark.parametrize("way", OFFLINE)
def test_without_a_network_it_is_said_at_once_and_what_to_do(house: House, way: str) -> None:
    execution = house.session().run(OFFLINE[way], timeout_s=AT_ONCE_S)
    assert execution["status"] == "completed", execution
    assert everything(execution).count(NO_NETWORK) == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import requests; requests.get('https://example.org')", "ConnectionError"),
        ("import urllib.request; urllib.request.urlopen('http://example.org')", "URLError"),
        ("import socket; socket.create_connection(('example.org', 80))", "gaierror"),
        ("import socket; socket.create_connection(('1.1.1.1', 80))", "OSError"),
        (f"import subprocess; subprocess.check_call(['npm', 'install', '{NODE}'])", "CalledProcessError"),
        (f"import subprocess; subprocess.check_output('pip install {PYTHON}', shell=True)", "CalledProcessError"),
    ],
)
def test_errors_for_want_of_a_network_say_what_to_do(house: House, code: str, name: str) -> None:
    error = house.session().run(code, timeout_s=AT_ONCE_S)["error"]
    assert error["name"] == name
    assert error["hint"].startswith("This session has no network.")
    assert '"packages"' in error["hint"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import requests; requests.get('https://example.org')", "The session may not reach this host"),
        (
            "import requests; requests.get('http://example.org').raise_for_status()",
            "The session may not reach this host",
        ),
        ("import urllib.request; urllib.request.urlopen('https://example.org')", "The session may not reach this host"),
        ("import urllib.request; urllib.request.urlopen('http://example.org')", "The session may not reach this host"),
        (
            "import socket; socket.create_connection(('example.org', 443))",
            "A session reaches its hosts only through the proxy",
        ),
    ],
)
@pytest.mark.parametrize("network", ["packages", {"allow": ["example.net"]}], ids=["packages", "allow"])
def test_errors_for_want_of_a_host_say_what_to_do(house: House, network: Any, code: str, hint: str) -> None:
    error = house.session(network=network).run(code, timeout_s=AT_ONCE_S)["error"]
    assert error["hint"].startswith(hint)


@pytest.mark.parametrize("code", [f"!pip install {PYTHON}", f"!npm install {NODE}"], ids=["pip", "npm"])
def test_a_session_of_other_hosts_has_no_packages_and_says_so_at_once(house: House, code: str) -> None:
    execution = house.session(network={"allow": ["example.org"]}).run(code, timeout_s=AT_ONCE_S)
    assert execution["status"] == "completed", execution
    assert everything(execution).count(NOT_ALLOWED) == 1


def test_what_works_is_not_commented_on(house: House) -> None:
    execution = house.session().run("!pip list; npm --version; git --version\nprint('a name')")
    assert execution["status"] == "completed"
    assert "kernelgw:" not in everything(execution)


def test_the_session_s_pip_is_set_up_as_this_machine_s_without_its_disk(house: House) -> None:
    """Whatever this machine has of its own in files is not there, and nothing in there points at it."""
    session = house.session(network="packages")
    listed = session.value("!pip config list; npm config get registry; cat /etc/pip.conf")
    assert "file:" not in listed
    assert "find-links" not in listed
    assert "[global]" in listed
    assert listed.count("://") >= 1
