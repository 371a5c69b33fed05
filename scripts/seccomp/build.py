"""Compiles kernelgw/sandbox/filters/profile.toml with libseccomp, or runs a command under what it says.

    build.py                    writes PROFILE.MACHINE.bpf beside the profile, for every profile and machine
    build.py --out DIR          writes them there
    build.py --log --out DIR    variants that let through what they would refuse, and log it (dmesg: audit, type=1326)
    build.py --watch CMD ARG…   runs CMD and lists, when it has ended, every call that the filter would have
                                refused; refuses none. Needs no audit in the kernel and no privilege.

Needs Debian's python3-seccomp, that is, the distribution's interpreter: /usr/bin/python3 scripts/seccomp/build.py
"""

import argparse
import collections
import errno
import itertools
import os
import select
import tempfile
import tomllib
from pathlib import Path

import seccomp

FOLDER = Path(__file__).parents[2] / "kernelgw" / "sandbox" / "filters"
MACHINES = ("x86_64", "aarch64")
LET_IT_GO_ON = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--profile", default="default", help="of --watch")
    parser.add_argument("--watch", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    rules = tomllib.loads((FOLDER / "profile.toml").read_text())
    if options.watch:
        return watch(Filter(rules, options.profile, os.uname().machine, seccomp.NOTIFY), options.watch)
    if options.log and options.out == FOLDER:
        parser.error("--log needs --out: such a filter refuses next to nothing")
    for profile, machine in itertools.product(rules["profiles"], MACHINES):
        made = Filter(rules, profile, machine, seccomp.LOG if options.log else None)
        (options.out / f"{profile}.{machine}.bpf").write_bytes(made.program())
    return 0


class Filter:
    """`refusal`: an action in place of every errno, for those who only want to look."""

    def __init__(self, rules: dict, profile: str, machine: str, refusal: int | None = None) -> None:
        self.refusal = refusal
        self.default = self.action(rules["default"])
        self.made = empty(self.default, machine)
        self.named: set[str] = set()
        for group in rules["group"]:
            if profile in group.get("only", rules["profiles"]):
                for call in self.once(group["calls"]):
                    self.add(group["action"], call)
        for rule in rules["conditional"]:
            if profile not in rule.get("only", rules["profiles"]):
                continue
            for call in self.once(rule["calls"]):
                self.add_conditional(call, rule)

    def once(self, calls: str) -> list[str]:
        found = calls.split()
        for call in found:
            if call in self.named:
                raise SystemExit(f"{call} is named twice")
            self.named.add(call)
        return found

    def action(self, word: str) -> int:
        if word == "allow":
            return seccomp.ALLOW
        return self.refusal or seccomp.ERRNO(0 if word == "nothing" else getattr(errno, word))

    def add(self, word: str, call: str, *arguments: seccomp.Arg) -> None:
        # libseccomp refuses a rule that says what holds anyway.
        if self.action(word) != self.default:
            self.made.add_rule(self.action(word), call, *arguments)

    def add_conditional(self, call: str, rule: dict) -> None:
        masks = rule["masks"]
        for case in rule["cases"]:
            numbers = [number for number in masks if number in case]
            lists = [case[number] if isinstance(case[number], list) else [case[number]] for number in numbers]
            for values in itertools.product(*lists):
                pairs = zip(numbers, values, strict=True)
                self.add(case.get("then", "allow"), call, *(equals(n, masks[n], value) for n, value in pairs))
        # "Any value" as a rule would swallow all others. Its lowest bit being 0, or 1, does not: libseccomp asks for
        # the longer mask first. The test that evaluates the programs holds it to that.
        first = next(iter(masks))
        lowest = masks[first] & -masks[first]
        for value in (0, lowest):
            self.add(rule["otherwise"], call, equals(first, lowest, value))

    def program(self) -> bytes:
        with tempfile.TemporaryFile() as file:
            self.made.export_bpf(file)
            file.seek(0)
            return file.read()


def empty(default: int, machine: str) -> seccomp.SyscallFilter:
    made = seccomp.SyscallFilter(default)
    wanted = seccomp.Arch(machine)
    if not made.exist_arch(wanted):
        made.add_arch(wanted)
        made.remove_arch(seccomp.Arch())
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    # A binary search over the numbers instead of a list of 300 comparisons.
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)
    return made


def equals(number: str, mask: int, value: int) -> seccomp.Arg:
    return seccomp.Arg(int(number), seccomp.MASKED_EQ, mask, value)


def watch(asking: Filter, command: list[str]) -> int:
    """Every refusal becomes a question to this very process, which notes it and lets the call go on."""
    asking.made.load()
    questions, counts = asking.made.get_notify_fd(), collections.Counter()
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)
    poll = select.poll()
    for fd in (questions, os.pidfd_open(child)):
        poll.register(fd, select.POLLIN)
    while questions in dict(poll.poll()):
        question = asking.made.receive_notify()
        counts[question.syscall] += 1
        asking.made.respond_notify(seccomp.NotificationResponse(question, 0, 0, LET_IT_GO_ON))
    for number, count in counts.most_common():
        name = seccomp.resolve_syscall(seccomp.Arch(), number)
        print(f"{count:6} {name.decode() if isinstance(name, bytes) else name}")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    raise SystemExit(main())
