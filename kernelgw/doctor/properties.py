"""All properties that isolation is made of, by id: what must hold, and whether untrusted code may run without it.

One session can show some of them by itself: those are tried whenever a gateway starts, and by `kernelgw doctor`. All
are tried by tests/security, which counts by these ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Property:
    """`subject`: "" or what a gateway must have for there to be anything to show; `weaker`: where it holds less."""

    id: str
    words: str
    mandatory: bool = False
    subject: str = ""
    weaker: str = ""


GROUPS = MappingProxyType(
    {
        "FS": "Files",
        "PR": "Processes and credentials",
        "NE": "Network",
        "KS": "Kernel surface",
        "RS": "Resources",
        "CS": "Between sessions",
        "GA": "The gateway's interface",
        "OU": "Outputs and previews",
    }
)
# A star: mandatory. After " | ": the subject. After " ~ ": where it is weaker.
TEXT = """
FS01* the root holds only what was declared
FS02* files of the host are not there, whatever their mode
FS03* the system, the environment and /dev cannot be written
FS04* the workspace, /tmp, /dev/shm and the home can be written
FS05 filling them ends in an error at the limit, and the host keeps its space ~ without root it is watched
FS06 many empty files end in an error, and the host lives ~ without root only the host's own limit holds
FS07* nothing can be mounted, unmounted or made the root
FS08* no descriptor leads out
FS09* neither the interpreter nor a library can be opened for writing
FS10 set-uid programs and file capabilities give nothing
FS11 no device but the harmless ones, and none can be made
FS12 the list of mounts names neither the gateway nor any session ~ without root it tells the data directory's path
FS13* settings of the kernel cannot be written
FS14 keys, symbols, devices and interrupts of the host are hidden in /proc
FS15* there is no sysfs and no cgroupfs
FS16 there are no sockets of the system's services
PR01* no capability of any kind, no new privileges, a system call filter
PR02* one uid and no other; outside it is not 0
PR03* only the session's own processes are there
PR04* ids, groups and capabilities cannot be changed
PR05* no new namespace of any kind
PR06* no other namespace can be joined
PR07* no process can be traced, read or robbed of a descriptor
PR08 what the kernel starts cannot look into the kernel
PR09* no secret, and nothing of where the gateway keeps its data, in any environment or command line
PR10 no secret of the gateway in the kernel's own memory
PR11 the first process and those of the host cannot be signalled away
PR12 no higher priority, no real time, no lower score for the out-of-memory killer
PR13 no terminal, and nothing can be typed into one
PR14 keyrings cannot be used
PR15 nothing survives the end of its session
PR16 sessions of one fork server draw different random numbers and names
PR17 a crash leaves no core file and runs no handler of the host
PR18 when its holder is killed a session ends, in words, alone
NE01* no interface but loopback, no route
NE02* neither the host nor another session answers
NE03* no raw, packet, vsock, crypto or netlink sockets
NE04* sockets of the host, abstract or by path, are not there
NE05* names are not resolved, and that is said at once
NE06 a server and a client within one session work
NE07* the proxy lets through what is listed, and nothing when nothing is
NE08* a host is judged the same however it is written
NE09* no allowed name leads to private, local or metadata addresses
NE10* only the address that was checked is dialled
NE11* the gateway itself is not reached through the proxy
NE12 relayed, pipelined and reused connections get the same verdict
NE13 TLS for another name than was asked for is closed
NE14 redirects to forbidden hosts are blocked
NE15 another session's way out is not reached, and verdicts name the right session
NE16 bytes, connections and times of the way out are limited
KS01* no io_uring
KS02* no bpf, perf events, userfaultfd
KS03* modules, kexec, reboot, swap, accounting and quotas are out of reach
KS04 no file handles, no comparing of processes, no fanotify
KS05 no kernel log and no kernel addresses
KS06 time, host and domain name cannot be set
KS07* unknown system calls are not implemented
KS08* a system call of a foreign architecture kills the process, and the session says so
KS09 no other personality, no local descriptor tables
KS10 threads, processes, executable memory, shared memory work
KS11 the filter cannot be taken off
RS01* memory ends at the limit, with that reason, and neighbours notice nothing ~ a watchdog without cgroups
RS02* processes and threads end at the limit, and others can start
RS03* processor time is shared and held to the quota, and who computes gives way ~ by niceness alone without cgroups
RS04* a cell that ignores every signal is killed at its deadline
RS05 descriptors of all kinds are bounded, and no neighbour runs short ~ shared by all without root
RS06 huge and sparse files and floods of output are bounded
RS07 what temporary files hold comes back with a fresh kernel
RS08 queues, shared memory and locked memory are limited
RS09 sessions that come and go leave nothing
RS10 zombies are bounded
RS11 what a killed gateway leaves is taken over by the next one, or cleared
CS01* another session's files are not there
CS02* another session's processes are not there
CS03* another session's queues, shared memory, sockets and ports are not there
CS04* two sessions have two uids outside ~ without root all have the gateway's own
CS05 a session made again under its name finds nothing of the old one
CS06* forged messages reach nobody else
CS07 pids, uids and folders that are used again are checked again
GA01* nothing answers without the token, and nothing happens
GA02* foreign hosts and origins are refused
GA03* pages of others cannot make the gateway do anything
GA04* no path leads out of where it belongs
GA05* no file reached by the file calls lies outside, whatever stands in its place
GA06* archives cannot write outside, nor without end | an archive interface
GA07 sessions cannot call the gateway
GA08 the token is in no log, error, environment or notebook
GA09 large, deep, slow and idle requests are bounded
GA10 a socket that was replaced is not used | sockets by path inside sessions
GA11 a token that is withdrawn ends its upgrades
GA12 wrong tokens are slowed down, and compared in constant time
OU01* scripts in outputs reach neither the page nor its origin
OU02* outputs cannot navigate, pop up, post or install
OU03* floods and monsters of output are capped, with a mark
OU04 a slow reader does not slow a fast one
OU05 files that are downloaded do nothing in the origin
OU06* previews see no cookie and no token of the gateway | previews
OU07* previews set nothing for other origins | previews
OU08* previews lead only to their own session | previews
OU09 a preview's error pages show nothing as it was sent | previews
OU10 control characters are shown, not obeyed
OU11 messages between windows are checked and bounded
"""


def _parse(line: str) -> Property:
    line, _, weaker = line.partition(" ~ ")
    rest, _, subject = line.partition(" | ")
    id_, _, words = rest.partition(" ")
    return Property(id_.removesuffix("*"), words, id_.endswith("*"), subject, weaker)


PROPERTIES = MappingProxyType({each.id: each for each in map(_parse, TEXT.strip().splitlines())})
