"""The Node.js of a JavaScript kernel is as closed in as the kernel that started it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.client import House

pytestmark = pytest.mark.live

LOOK = """
const fs = require('fs');
const lines = fs.readFileSync('/proc/self/status', 'utf8').trim().split('\\n');
const status = Object.fromEntries(lines.map(line => line.split(':\\t')));
const link = fd => { try { return fs.readlinkSync(`/proc/self/fd/${fd}`) } catch { return '' } };
const links = fs.readdirSync('/proc/self/fd').map(link).filter(name => name);
const tried = path => { try { fs.writeFileSync(path, 'x'); return 'written' } catch (error) { return error.code } };
const {status: unshared} = require('child_process').spawnSync('unshare', ['--user', 'true']);
console.log(JSON.stringify({
  status, links, unshared,
  written: ['/usr/x', '/etc/passwd', process.execPath, `${process.execPath}.new`].map(tried),
  pids: fs.readdirSync('/proc').filter(name => /^\\d+$/.test(name)).length,
}));
"""


@pytest.fixture
def seen(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.session(language="javascript").value(LOOK))
    return found


def test_node_is_sealed(seen: dict[str, Any]) -> None:
    status = seen["status"]
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == ["0" * 16] * 5
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(status["Uid"].split()) == {"1000"}
    assert seen["unshared"] != 0
    assert "written" not in seen["written"]
    # Those of its sandbox alone.
    assert seen["pids"] <= 6


def test_node_holds_nothing_but_its_own_ends(seen: dict[str, Any]) -> None:
    """No socket of the kernel's, no crash log: what it has leads to its own kernel's process."""
    ours = ("pipe:", "socket:", "anon_inode:", "/memfd:", "/tmp/stdin-", "/tmp/report-", "/proc/", "/dev/null")
    assert [link for link in seen["links"] if not link.startswith(ours)] == []
    assert sum(link.startswith("socket:") for link in seen["links"]) <= 2


def test_no_port_is_opened_for_the_inspector(house: House) -> None:
    code = "console.log(require('fs').readFileSync('/proc/net/tcp', 'utf8').trim().split('\\n').slice(1)"
    code += ".filter(line => line.trim().split(/\\s+/)[3] === '0A').map(line => line.trim().split(/\\s+/)[1]).join())"
    listening = house.session(language="javascript").value(code).strip()
    # The session's way out, where it has one.
    assert listening in ("", "0100007F:0C38")


@pytest.mark.in_gvisor
def test_cells_in_each_way_of_running_a_gateway(house: House) -> None:
    javascript = house.session(language="javascript")
    assert javascript.value("const n: number = await Promise.resolve(41); console.log(n + 1)") == "42\n"
    assert javascript.run("for (;;);", timeout_s=1)["status"] == "timed_out"
    assert javascript.value("console.log(n)") == "41\n"
