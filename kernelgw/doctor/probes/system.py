"""What a session reaches of the network and of the kernel. Runs inside a session."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import subprocess
import threading
import time

from . import tools


def only_loopback(expected: tools.Expected) -> str | None:
    with open("/proc/self/net/dev") as file:
        names = {line.split(":")[0].strip() for line in file.readlines()[2:]}
    with open("/proc/self/net/route") as file:
        routes = len(file.readlines()) - 1
    return f"{names}, {routes} routes" if names - {"lo"} or routes else None


def nobody_outside_answers(expected: tools.Expected) -> str | None:
    for host, port in expected.get("ports", ()):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
            client.settimeout(1)
            try:
                client.connect((host, port))
            except OSError:
                continue
            return f"{host} port {port}"
    return None


def no_other_kinds_of_sockets(expected: tools.Expected) -> str | None:
    kinds = {"packet": (17, 3, 0), "vsock": (40, 1, 0), "alg": (38, 5, 0), "raw": (2, 3, 1)}
    kinds |= {"netlink": (16, 3, 0), "netfilter": (16, 3, 12)}
    for name, (family, kind, protocol) in kinds.items():
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            continue
        return name
    return None


def names_are_not_known(expected: tools.Expected) -> str | None:
    started = time.monotonic()
    try:
        socket.getaddrinfo(expected.get("name", "example.org"), 443)
    except OSError:
        took = time.monotonic() - started
        return None if took < 1 else f"it took {took:.1f} s"
    return "a name was resolved"


def no_io_uring(expected: tools.Expected) -> str | None:
    return tools.refused("io_uring_setup", 1, None)


def no_kernel_instruments(expected: tools.Expected) -> str | None:
    return tools.first(*(tools.refused(name, 0, 0, 0, 0, 0) for name in ("bpf", "perf_event_open", "userfaultfd")))


def the_machine_cannot_be_changed(expected: tools.Expected) -> str | None:
    names = ("kexec_load", "init_module", "finit_module", "swapon", "acct", "quotactl")
    # Without its magic numbers a reboot that was let through would fail too, with another error.
    return tools.first(*(tools.refused(name, 0, 0, 0, 0, 0) for name in names), tools.refused("reboot", 0, 0, 0, 0))


def no_handles_and_no_watching(expected: tools.Expected) -> str | None:
    return tools.first(
        *(tools.refused(name, 0, 0, 0, 0, 0) for name in ("name_to_handle_at", "open_by_handle_at", "kcmp"))
    )


def what_is_unknown_is_not_there(expected: tools.Expected) -> str | None:
    code = tools.call(tools.UNKNOWN)
    return None if code == errno.ENOSYS else f"errno {code}"


def no_other_personality(expected: tools.Expected) -> str | None:
    return tools.refused("personality", 0x0040000)


def ordinary_things_work(expected: tools.Expected) -> str | None:
    text, code = tools.in_child(
        lambda: subprocess.run(["/bin/echo", "x"], capture_output=True, text=True).stdout.strip()
    )
    return None if (text, code) == ("x", 0) else f"a child ended with {code} and said {text!r}"


def sockets_of_the_host_are_not_there(expected: tools.Expected) -> str | None:
    """`sockets`: paths, or abstract names after an @."""
    for name in expected.get("sockets", ()):
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect("\0" + name[1:] if name.startswith("@") else name)
            except OSError:
                continue
            return str(name)
    return None


def a_server_within_works(expected: tools.Expected) -> str | None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100)[::-1])

        thread = threading.Thread(target=answer)
        thread.start()
        with socket.create_connection(server.getsockname(), 5) as client:
            client.sendall(b"abc")
            heard = client.recv(100)
        thread.join()
    return None if heard == b"cba" else f"heard {heard!r}"


def the_kernel_tells_nothing(expected: tools.Expected) -> str | None:
    try:
        with open("/proc/kallsyms") as file:
            addresses = [line.split()[0] for line, _ in zip(file, range(100), strict=False)]
    except OSError:
        addresses = []
    if any(int(address, 16) for address in addresses):
        return "kallsyms has addresses"
    return tools.refused("syslog", 10, None, 0)


def time_and_names_cannot_be_set(expected: tools.Expected) -> str | None:
    calls = ("clock_settime", "settimeofday", "sethostname", "setdomainname")
    return tools.first(*(tools.refused(name, 0, 0) for name in calls))


def the_filter_stays(expected: tools.Expected) -> str | None:
    def take_off() -> str:
        if tools.LIBC.prctl(22, 0, 0, 0, 0) == 0:
            return "PR_SET_SECCOMP 0 went through"
        program = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
        buffer = ctypes.create_string_buffer(program)
        header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 1, ctypes.addressof(buffer)))
        tools.LIBC.prctl(22, 2, header, 0, 0)
        if tools.call("unshare", 0x00020000) == 0:
            return "a second filter took the first one's place"
        return "" if tools.status()["Seccomp"] == "2" else f"Seccomp is {tools.status()['Seccomp']}"

    return tools.in_child(take_off)[0]


PROBES = (
    ("NE01", only_loopback),
    ("NE02", nobody_outside_answers),
    ("NE03", no_other_kinds_of_sockets),
    ("NE04", sockets_of_the_host_are_not_there),
    ("NE05", names_are_not_known),
    ("NE06", a_server_within_works),
    ("KS01", no_io_uring),
    ("KS02", no_kernel_instruments),
    ("KS03", the_machine_cannot_be_changed),
    ("KS04", no_handles_and_no_watching),
    ("KS05", the_kernel_tells_nothing),
    ("KS06", time_and_names_cannot_be_set),
    ("KS07", what_is_unknown_is_not_there),
    ("KS09", no_other_personality),
    ("KS10", ordinary_things_work),
    ("KS11", the_filter_stays),
)
