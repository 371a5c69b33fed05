"""`python -m tests.bench.gvisor [ROUNDS]`: bubblewrap and gVisor in turns, as a table for docs/gvisor.md.

Seconds, medians over the rounds, each in a kernel that was started for it. Needs root and `runsc`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from tests.live.client import House, Session
from tests.live.gateway import Gateway

WAYS = MappingProxyType(
    {
        "bubblewrap, started": {"isolation": "bubblewrap", "start": "exec"},
        "gVisor": {"isolation": "gvisor"},
    }
)
PATIENCE_S = 300
# In this order, in one kernel.
CELLS = MappingProxyType(
    {
        "`import numpy, pandas, matplotlib.pyplot`": "import numpy, pandas, matplotlib.pyplot",
        "5 products of 1500 x 1500 matrices": "a = numpy.random.rand(1500, 1500)\nfor _ in range(5): a @ a",
        "`groupby` over a million rows, 5 times": """
frame = pandas.DataFrame({"k": numpy.random.randint(0, 1000, 10**6), "v": numpy.random.rand(10**6)})
for _ in range(5): frame.groupby("k").v.agg(["mean", "std"])
""",
        "loop of 5 million in plain Python": "total = 0\nfor number in range(5_000_000): total += number",
        "100 000 system calls": "import os\nfor _ in range(100_000): os.getppid()",
        "1000 small files made, read, removed": """
import pathlib
for number in range(1000): pathlib.Path(f"file{number}").write_text("x")
for number in range(1000): pathlib.Path(f"file{number}").read_text()
for number in range(1000): pathlib.Path(f"file{number}").unlink()
""",
        "30 programs run": "import subprocess\nfor _ in range(30): subprocess.run(['/bin/true'])",
        "`find /usr/lib`": "done = subprocess.run('find /usr/lib | wc -l', shell=True, capture_output=True)",
    }
)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(session: Session) -> dict[str, float]:
    found = {"from nothing to the first result": timed(lambda: session.value("1"))}
    trivial = [timed(lambda: session.value("1")) for _ in range(50)]
    found["trivial cell"] = statistics.median(trivial)
    for name, code in CELLS.items():
        found[name] = timed(lambda code=code: session.value(code))  # type: ignore[misc]
    return found


def main(rounds: int) -> None:
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        gateways = {}
        try:
            for number, (way, options) in enumerate(WAYS.items()):
                gateways[way] = Gateway(Path(folder, str(number)), pool_size=0, **options).start()
            for _ in range(rounds):
                for way, gateway in gateways.items():
                    house = House(gateway, "bench")
                    house.client.timeout = PATIENCE_S
                    results[way].append(measure(house.session()))
                    house.delete_sessions()
                    house.close()
            for gateway in gateways.values():
                gateway.stop()
        finally:
            for gateway in gateways.values():
                gateway.abandon()
    print("| seconds |", " | ".join(WAYS), "|\n|---|" + "---:|" * len(WAYS))
    for name in results["gVisor"][0]:
        print(f"| {name} |", " | ".join(f"{statistics.median(r[name] for r in results[way]):.3f}" for way in WAYS), "|")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
