"""Writes docker/seccomp.json, the system call filter of a container that the gateway itself runs in.

    container.py                writes it
    container.py --out FILE     writes it there

It is what kernelgw/sandbox/filters/profile.toml allows to sessions, plus the few calls below with which sandboxes are
built; sessions are filtered a second time, by that profile. No rule depends on a capability, since the container needs
none. The form is what Docker, Podman, containerd (Kubernetes) and CRI-O all read.
"""

import argparse
import errno
import itertools
import json
import socket
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "kernelgw" / "sandbox" / "filters" / "profile.toml"
TARGET = ROOT / "docker" / "seccomp.json"
# Both in one file: libseccomp takes what the machine is, and ends whoever calls by a foreign table (i386, x32).
ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
U32 = 0xFFFFFFFF
KEYCTL_JOIN_SESSION_KEYRING = 1
NETLINK_ROUTE = 0

# By whom and for what. Each is refused to sessions, and none reaches past the container without a capability outside.
BUILDING = {
    "clone": "bubblewrap: a child in new namespaces",
    "unshare": "bubblewrap: the inner user namespace, in which no further one can be made; and seals are tried with it",
    "setns": "the fork server's children join a sandbox",
    "mount": "bubblewrap: the parts of a session's root",
    "umount2": "bubblewrap: lets go of the old root",
    "pivot_root": "bubblewrap: the new root",
    "sethostname": "bubblewrap: every sandbox is called the same",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    options.out.write_text(json.dumps(profile(tomllib.loads(PROFILE.read_text())), indent=1) + "\n")
    return 0


def profile(rules: dict) -> dict:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": getattr(errno, rules["default"]),
        "architectures": list(ARCHITECTURES),
        "syscalls": [
            allow(sorted(BUILDING)),
            # A session gets a keyring of its own before it loses this call; nothing else is done with keyrings.
            allow(["keyctl"], [equals(0, U32, KEYCTL_JOIN_SESSION_KEYRING)]),
            # With netlink for routes bubblewrap takes a sandbox's loopback up.
            allow(["socket"], [equals(0, U32, socket.AF_NETLINK), equals(2, U32, NETLINK_ROUTE)]),
            *groups(rules["group"]),
            *itertools.chain.from_iterable(conditional(rule) for rule in rules["conditional"] if "only" not in rule),
        ],
    }


def groups(found: list[dict]) -> list[dict]:
    """What is allowed in one list, and one for each errno that is not the default."""
    calls: dict[str, set[str]] = {}
    for group in found:
        calls.setdefault(group["action"], set()).update(group["calls"].split())
    made = [allow(sorted(calls.pop("allow")))]
    for word, names in calls.items():
        left = sorted(names - BUILDING.keys() - {"keyctl"})
        made.append({"names": left, "action": "SCMP_ACT_ERRNO", "errnoRet": getattr(errno, word)})
    return made


def conditional(rule: dict) -> list[dict]:
    """One rule a combination of values; they add up. What they leave gets the default, a plainer word than the
    profile's own: an exception from "any other value" is more than this form can say."""
    names = [name for name in rule["calls"].split() if name not in BUILDING]
    if not names:
        return []
    if rule["otherwise"] == "allow":
        return [allow(names)]
    made = []
    for case in rule["cases"]:
        if case.get("then", "allow") != "allow":
            continue
        numbers = [number for number in rule["masks"] if number in case]
        lists = [case[number] if isinstance(case[number], list) else [case[number]] for number in numbers]
        for values in itertools.product(*lists):
            pairs = zip(numbers, values, strict=True)
            made.append(allow(names, [equals(int(n), rule["masks"][n], value) for n, value in pairs]))
    return made


def allow(names: list[str], arguments: list[dict] | None = None) -> dict:
    rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return {**rule, "args": arguments} if arguments else rule


def equals(index: int, mask: int, value: int) -> dict:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


if __name__ == "__main__":
    raise SystemExit(main())
