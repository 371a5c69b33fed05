"""What a session sees of files, and what it may do to them. Runs inside a session."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys

from . import tools


def root_has_only_what_was_declared(expected: tools.Expected) -> str | None:
    if wanted := expected.get("entries"):
        return ", ".join(sorted(set(os.listdir("/")) - set(wanted)))
    foreign = {"boot", "media", "mnt", "run", "srv", "sys", "var"} & set(os.listdir("/"))
    if tools.in_gvisor():
        # The kernel's own sockets, and a mount point that is always there.
        foreign = foreign - {"run", "sys"} | set(os.listdir("/run")) - {"kernel"} | set(tools.entries("/sys"))
    return ", ".join(sorted(foreign))


def files_of_the_host_are_not_there(expected: tools.Expected) -> str | None:
    return ", ".join(path for path in expected.get("hidden", ()) if os.path.lexists(path))


def system_is_read_only(expected: tools.Expected) -> str | None:
    places = ["/", "/usr", "/usr/bin", "/etc", "/dev", "/proc/sys/kernel", sys.prefix]
    return ", ".join(path for path in places if tools.writable(path) == 0)


def own_places_can_be_written(expected: tools.Expected) -> str | None:
    return ", ".join(
        path for path in ("/workspace", "/tmp", "/dev/shm", os.path.expanduser("~")) if tools.writable(path) != 0
    )


def nothing_can_be_mounted(expected: tools.Expected) -> str | None:
    return tools.first(
        tools.refused("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        tools.refused("mount", None, b"/", None, 32 | 4096, None),
        tools.refused("mount", b"/usr", b"/tmp", None, 4096, None),
        tools.refused("umount2", b"/workspace", 2),
        tools.refused("pivot_root", b"/tmp", b"/tmp"),
        tools.refused("chroot", b"/tmp"),
        *(tools.refused(name, 0, 0, 0, 0, 0) for name in ("open_tree", "move_mount", "fsopen", "mount_setattr")),
    )


def no_descriptor_leads_out(expected: tools.Expected) -> str | None:
    for name in os.listdir("/proc/self/fd"):
        try:
            where = os.readlink(f"/proc/self/fd/{name}")
            os.fstat(int(name))
        except OSError:
            continue
        inside = where.startswith(("/dev/", "/proc/", "/tmp/", "/usr/", "/memfd:", sys.prefix, "/home/", "/workspace"))
        if where.startswith("/") and not inside:
            return f"{name} is {where}"
        if os.path.isdir(f"/proc/self/fd/{name}") and not where.startswith("/proc/"):
            return f"{name} is the directory {where}"
    return None


def the_interpreter_cannot_be_changed(expected: tools.Expected) -> str | None:
    library = next(line.split()[-1] for line in tools.lines("/proc/self/maps") if ".so" in line)
    for path in ("/proc/self/exe", sys.executable, library):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return f"{path} can be opened for writing"
    return None


def set_uid_programs_give_nothing(expected: tools.Expected) -> str | None:
    """The loader tells about a program that was given nothing, and keeps quiet about one that was."""

    def told(path: str) -> bool:
        return b"AT_EUID" in subprocess.run([path, "--help"], env={"LD_SHOW_AUXV": "1"}, capture_output=True).stdout

    entries = [entry for entry in os.scandir("/usr/bin") if entry.is_file()]
    given = [entry.path for entry in entries if entry.stat().st_mode & stat.S_ISUID and not told(entry.path)]
    return ", ".join(given) if told("/usr/bin/env") else "the loader tells nothing"


def there_are_no_devices(expected: tools.Expected) -> str | None:
    if not (code := tools.call("mknodat", -100, b"/tmp/probe-device", 0o020666, 0x0103)) or code not in tools.REFUSED:
        return f"mknod: {code}"
    known = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "core"}
    others = set(os.listdir("/dev")) - known - {"stdin", "stdout", "stderr", "console", "mqueue"}
    return ", ".join(sorted(name for name in others if not tools.empty(f"/dev/{name}")))


def mounts_name_nobody(expected: tools.Expected) -> str | None:
    text = "".join(tools.lines("/proc/self/mountinfo"))
    return ", ".join(secret for secret in expected.get("secrets", ()) if secret in text)


def kernel_settings_cannot_be_changed(expected: tools.Expected) -> str | None:
    """None of those that are for the whole machine, and none of those that each namespace has of its own."""
    below = (os.path.join(folder, name) for folder, _, names in os.walk("/proc/sys") for name in names)
    for path in itertools.chain(("/proc/sysrq-trigger",), below):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return f"{path} can be opened for writing"
    return None


def proc_tells_nothing_of_the_host(expected: tools.Expected) -> str | None:
    told = []
    for name in ("kcore", "keys", "key-users", "timer_list", "interrupts", "kallsyms", "config.gz", "cmdline"):
        try:
            with open(f"/proc/{name}", "rb") as file:
                if file.read(16):
                    told.append(name)
        except OSError:
            continue
    for name in ("acpi", "scsi", "asound", "fs"):
        try:
            if os.listdir(f"/proc/{name}"):
                told.append(name)
        except OSError:
            continue
    return ", ".join(told)


def there_is_no_sysfs(expected: tools.Expected) -> str | None:
    kinds = {line.split(" - ")[1].split()[0] for line in tools.lines("/proc/self/mountinfo")}
    return ", ".join(kinds & {"sysfs", "cgroup", "cgroup2", "securityfs", "debugfs", "bpf"})


def there_are_no_sockets_of_the_system(expected: tools.Expected) -> str | None:
    paths = ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private")
    return ", ".join(path for path in (*paths, "/run/podman/podman.sock", "/tmp/.X11-unix") if os.path.lexists(path))


PROBES = (
    ("FS01", root_has_only_what_was_declared),
    ("FS02", files_of_the_host_are_not_there),
    ("FS03", system_is_read_only),
    ("FS04", own_places_can_be_written),
    ("FS07", nothing_can_be_mounted),
    ("FS08", no_descriptor_leads_out),
    ("FS09", the_interpreter_cannot_be_changed),
    ("FS10", set_uid_programs_give_nothing),
    ("FS11", there_are_no_devices),
    ("FS12", mounts_name_nobody),
    ("FS13", kernel_settings_cannot_be_changed),
    ("FS14", proc_tells_nothing_of_the_host),
    ("FS15", there_is_no_sysfs),
    ("FS16", there_are_no_sockets_of_the_system),
)
