"""Output without end, in number, size and depth: capped, marked, and the gateway's memory stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import proc
from tests.live.client import JSON, House, displays, text
from tests.live.forging import FORGING
from tests.live.gateway import Gateway

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

KIB = 1 << 10
MIB = 1 << 20
OUTPUT_BYTES = MIB
# Of resident memory, whose pieces an allocator gives back late or never; a flood not held back would take 300 and more.
GROWTH = 48 * MIB
PNG = """
import base64, struct, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
size = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
rows = chunk(b"IDAT", zlib.compress(bytes(10_001 * 10_000)))
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", size) + rows + chunk(b"IEND", b"")
display({"image/png": base64.b64encode(png).decode(), "text/plain": "100 megapixels"}, raw=True)
"""
NESTED = """
import sys
sys.setrecursionlimit(10**6)
value = 1
for _ in range(DEPTH): value = [value]
display({"application/json": value, "text/plain": "plain"}, raw=True)
print("after")
"""
LEFT_OUT = "left out"
PIPE_BYTES = 128 << 10
# Each ends by printing END to stdout. `x` is a mebibyte; `show` displays a bundle.
FLOODS = {
    "1 GiB of a program": "import subprocess; subprocess.run('yes xxxxxxx | head -c 1073741824', shell=True);",
    "256 MiB of print": "for _ in range(256): print(x)",
    "one line of 256 MiB": "print(x * 256)",
    "100,000 flushed prints": "for n in range(100_000): print(n, flush=True)",
    "100,000 changes of stream": "for n in range(50_000): print(1); print(2, file=sys.stderr)",
    "20,000 displays": "for n in range(20_000): show({'text/plain': str(n)})",
    "displays with no content": "for n in range(20_000): show({})",
    "metadata": "for n in range(300): show({'text/plain': 'm'}, metadata={'a': x})",
    "names": "for n in range(300): show({x + str(n): ''})",
    "display ids": "for n in range(300): show({'text/plain': 'd'}, transient={'display_id': x + str(n)})",
    "updates": "h = display('h', display_id=True)\nfor n in range(300): h.update({'text/plain': x}, raw=True)",
    "clears": "for n in range(20_000): clear_output(); show({'text/plain': 'c'})",
    "errors": "for n in range(300): get_ipython().showtraceback((type(x[:99], (Exception,), {}), Exception(x), None))",
}
# Each is forged for every one of `ids`, executions that are over.
LATE = {
    "text": """
wide = chr(0x1F600) + "a" * 2_000_000
for each in ids:
    for _ in range(3):
        send("iopub", message("iopub", "stream", {"name": "stdout", "text": wide}, each))
""",
    "questions": """
for each in ids:
    send("stdin", message("stdin", "input_request", b"B" * (16 << 20), each))
    send("iopub", message("iopub", "input_request", {}, each))
""",
}
# Each would have been searched, or counted, for hours.
SLOW = {
    "a value": "raise type('CalledProcessError', (Exception,), {})('pip ' * 1_000_000)",
    "a name": "raise type('Connect' * 200_000 + chr(10), (Exception,), {})('x')",
    "no json": """send("iopub", message("iopub", "stream", b"," * 3_000_000 + b'\\\\"' * 1_500_000, this()))""",
}
SETTING = """
import sys
from IPython.display import clear_output, display
x = "x" * (1 << 20)
def show(data, **rest): display(data, raw=True, **rest)
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path_factory.mktemp("floods") / "data", pool_size=1, output_bytes=OUTPUT_BYTES, log_bytes=OUTPUT_BYTES
    )
    with gateway:
        yield gateway
        assert len(gateway.output()) < 64 * KIB


@pytest.fixture
def house(gateway: Gateway) -> Iterator[House]:
    house = House(gateway, "flood")
    house.client.timeout = 150
    try:
        yield house
        house.delete_sessions()
    finally:
        house.close()


def kept(execution: JSON) -> int:
    return len(str(execution["outputs"]))


@pytest.mark.prop("OU03")
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_capped_and_marked(gateway: Gateway, house: House, name: str) -> None:
    session = house.session()
    session.run(SETTING)
    before = proc.resident_bytes(gateway.pid)
    execution = session.run(f"{FLOODS[name]}\nprint('END')", timeout_s=140)
    assert execution["status"] == "completed", execution["error"]
    # Its end is always there, though what a program has left in its pipe may come a moment after it; and where
    # something is missing it says so.
    assert "END\n" in text(execution)[-PIPE_BYTES:]
    if name not in ("clears", "updates"):
        assert LEFT_OUT in text(execution, "stderr")
    assert kept(execution) < 4 * OUTPUT_BYTES
    with session.follow(after=0) as stream:
        assert next(iter(stream)).type == "stream.gap"
    assert proc.resident_bytes(gateway.pid) - before < GROWTH
    assert session.value("print('goes on')") == "goes on\n"


@pytest.mark.prop("OU03")
def test_a_picture_is_passed_on_as_it_is_and_one_too_large_is_left_out(gateway: Gateway, house: House) -> None:
    session = house.session()
    before = proc.resident_bytes(gateway.pid)
    (shown,) = displays(session.run(PNG))
    assert shown["text/plain"] == "100 megapixels"
    # A hundred thousandfold smaller than what it unpacks to: nobody here does.
    assert len(shown["image/png"]) < OUTPUT_BYTES
    noise = "import base64, os; show = {'image/png': base64.b64encode(os.urandom(100 << 20)).decode()}"
    execution = session.run(f"{noise}\ndisplay(show, raw=True)\nprint('END')", timeout_s=100)
    assert displays(execution) == []
    assert LEFT_OUT in text(execution, "stderr")
    assert text(execution) == "END\n"
    assert proc.resident_bytes(gateway.pid) - before < GROWTH


@pytest.mark.prop("OU03")
@pytest.mark.parametrize("depth", [100, 300, 1000, 10_000])
def test_deep_json_is_left_out(gateway: Gateway, house: House, depth: int) -> None:
    session = house.session()
    execution = session.run(NESTED.replace("DEPTH", str(depth)))
    assert execution["status"] == "completed", execution["error"]
    assert text(execution) == "after\n"
    assert (LEFT_OUT in str(execution["outputs"])) == (depth > 100)
    # Every way of telling it again works too.
    assert house.client.get(f"{session.path}/history").status_code == 200
    with session.follow(execution["id"]) as stream:
        stream.until_text("after")
        stream.until("execution.completed")


@pytest.mark.prop("OU03")
@pytest.mark.parametrize("name", LATE)
def test_what_comes_for_executions_that_are_over_is_capped_too(gateway: Gateway, house: House, name: str) -> None:
    session = house.session()
    session.run(FORGING)
    ids = [session.run(str(number))["id"] for number in range(12)]
    before = proc.resident_bytes(gateway.pid)
    assert session.run(f"ids = {ids!r}\n{LATE[name]}\nprint('END')", timeout_s=100)["status"] == "completed"
    assert proc.resident_bytes(gateway.pid) - before < GROWTH
    assert session.value("print('goes on')") == "goes on\n"


@pytest.mark.prop("OU03")
@pytest.mark.parametrize("name", SLOW)
def test_what_was_made_to_be_looked_at_for_long_holds_nobody_up(house: House, name: str) -> None:
    session = house.session()
    session.run(FORGING)
    assert session.run(SLOW[name])["status"] == ("completed" if name == "no json" else "failed")
    assert house.session().value("print('goes on')") == "goes on\n"
