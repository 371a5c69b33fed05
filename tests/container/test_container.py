"""The image, built and run for real with the options that are shipped: all of isolation holds in it, and without any
one of the options that sandboxes take it does not start, but says which."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .podman import Podman

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1200)]

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
OWN_STATUS = "print(open('/proc/self/status').read())"
# Each with what podman calls it, and the option of the compose file that is left out.
TAKEN = {"seccomp": "--security-opt seccomp=docker/seccomp.json", "systempaths": "--security-opt unmask=ALL"}


def cell(podman: Podman, container: str, code: str) -> str:
    """What it printed, run through the gateway's own interface in a session of the container's only gateway."""
    command = ["kernelgw", "run", "--session", "chat", "-"]
    return podman.run("exec", "--interactive", container, *command, stdin=code)


def status(text: str) -> dict[str, str]:
    """What the kernel knows about a process."""
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


def without(options: list[str], name: str) -> list[str]:
    left = [option for option in options if not option.startswith(f"--security-opt={name}=")]
    assert len(left) == len(options) - 1
    return left


@pytest.mark.prop("PR01", "PR02")
def test_the_gateway_is_nobody_special(podman: Podman, container: str) -> None:
    first = status(podman.run("exec", container, "cat", "/proc/1/status"))
    assert [int(first[name], 16) for name in CAPABILITIES] == [0] * 5
    assert (first["Uid"].split(), first["Gid"].split()) == (["1000"] * 4, ["1000"] * 4)
    assert (first["NoNewPrivs"], first["Seccomp"]) == ("1", "2")
    about = podman.inspect(container)
    assert about["HostConfig"]["Privileged"] is False
    assert about["HostConfig"]["ReadonlyRootfs"] is True
    assert not about["EffectiveCaps"]
    assert not about["BoundingCaps"]


def test_doctor_finds_all_properties_enforced(podman: Podman, container: str) -> None:
    found = json.loads(podman.run("exec", container, "kernelgw", "doctor", "--json"))
    assert found["safe"] is True
    states = {line["name"]: line["state"] for line in found["properties"]}
    properties = {name: state for name, state in states.items() if re.fullmatch(r"[A-Z]{2}\d\d", name)}
    assert set(properties.values()) == {"enforced"}
    assert {"FS01", "FS07", "PR01", "PR03", "PR05", "NE01", "NE03", "KS01", "KS07", "KS10"} <= properties.keys()
    assert states["sandbox"] == "enforced"


def test_variables_last_from_cell_to_cell(podman: Podman, container: str) -> None:
    cell(podman, container, "x = 20")
    assert cell(podman, container, "print(x + 22)").strip() == "42"


@pytest.mark.prop("PR01", "FS03")
def test_a_session_has_less_than_its_container(podman: Podman, container: str) -> None:
    inside = status(cell(podman, container, OWN_STATUS))
    outside = status(podman.run("exec", container, "cat", "/proc/1/status"))
    assert int(inside["Seccomp_filters"]) > int(outside["Seccomp_filters"]) > 0
    assert [int(inside[name], 16) for name in CAPABILITIES] == [0] * 5
    # One namespace of processes further in than the gateway.
    assert cell(podman, container, "import os; print(os.path.exists('/data'), os.path.exists('/.containerenv'))") == (
        "False False\n"
    )
    assert podman.try_("exec", container, "test", "-d", "/data")[0] == 0


def test_nothing_in_it_can_be_changed_but_its_data(podman: Podman, container: str) -> None:
    for path, writable in {"/opt/kernelgw/bin/x": False, "/etc/x": False, "/usr/x": False, "/data/x": True}.items():
        assert (podman.try_("exec", container, "touch", path)[0] == 0) is writable, path


def test_the_image_alone_is_not_root_and_holds_the_profile(podman: Podman, container: str, image: str) -> None:
    about = podman.inspect(image)
    assert about["Config"]["User"] not in ("", "0", "root")
    profile = json.loads(podman.run("exec", container, "cat", "/opt/kernelgw/seccomp.json"))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.parametrize("command", [["serve"], ["doctor"]], ids=lambda command: command[0])
@pytest.mark.parametrize("missing", TAKEN)
def test_without_an_option_it_refuses_and_names_it(
    podman: Podman, image: str, options: list[str], missing: str, command: list[str]
) -> None:
    code, said = podman.try_("run", "--rm", *without(options, missing), image, *command)
    assert code != 0, said
    assert f"Podman: {TAKEN[missing]}" in said
    assert not [other for name, other in TAKEN.items() if name != missing and other in said]


def test_with_none_of_them_it_names_the_one_that_is_met_first(podman: Podman, image: str) -> None:
    code, said = podman.try_("run", "--rm", "--network=none", "--env=KERNELGW_TOKEN=some", image)
    assert code == 2, said
    assert "--security-opt seccomp=docker/seccomp.json" in said


def test_asked_to_stop_it_ends_in_order(podman: Podman, container: str) -> None:
    """The last, as it takes the container of the others."""
    podman.run("stop", "--time=20", container)
    state: dict[str, Any] = podman.inspect(container)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False), podman.run("logs", container)
