"""Text: whole, in order, from wherever it comes."""

from __future__ import annotations

import pytest

from .client import House, Session, displays, merged, streamed, text, types

pytestmark = pytest.mark.live

MIB = 1 << 20


def test_order_of_streams_and_displays(session: Session) -> None:
    execution = session.run("""
import sys
from IPython.display import display
for n in range(50):
    print(n)
    print(n, file=sys.stderr)
    display(n)
'end'
""")
    outputs = execution["outputs"]
    assert [output["output_type"] for output in outputs] == ["stream", "stream", "display_data"] * 50 + [
        "execute_result"
    ]
    for n in range(50):
        out, err, shown = outputs[3 * n : 3 * n + 3]
        assert (out["name"], out["text"]) == ("stdout", f"{n}\n")
        assert (err["name"], err["text"]) == ("stderr", f"{n}\n")
        assert shown["data"] == {"text/plain": str(n)}
    seqs = [output["seq"] for output in outputs]
    assert seqs == sorted(set(seqs))
    assert outputs[-1]["data"] == {"text/plain": "'end'"}


ALTERNATE = """
import os, subprocess
for n in range({lines}): print('before', n)
for n in range(200):
    os.write(1, b'below %d\\n' % n)
    print('above', n)
    if n % 50 == 0: subprocess.run(['echo', 'beside', str(n)]); display({{'text/plain': f'shown {{n}}'}}, raw=True)
"""


@pytest.mark.parametrize("lines", [0, 5000])
def test_what_is_written_below_python_comes_before_what_is_printed_after_it(session: Session, lines: int) -> None:
    """Also when there was none of it for a long while."""
    events = session.events(ALTERNATE.format(lines=lines))
    told = [
        event.data["text"] if event.type == "output.stream" else event.data["data"]["text/plain"] + "\n"
        for event in events
        if event.type in ("output.stream", "output.display")
    ]
    expected = [f"before {n}" for n in range(lines)]
    for n in range(200):
        expected += [f"below {n}", f"above {n}", *([f"beside {n}", f"shown {n}"] if n % 50 == 0 else [])]
    assert "".join(told).splitlines() == expected


def test_order_in_the_stream_is_the_same(session: Session) -> None:
    code = "import sys\nfor n in range(30):\n print(n)\n print(-n, file=sys.stderr)\n display(n)"
    events = session.events(code)
    outputs = [event for event in merged(events) if event.type.startswith("output.")]
    assert [event.type for event in outputs] == ["output.stream", "output.stream", "output.display"] * 30
    assert streamed(events) == "".join(f"{n}\n" for n in range(30))
    assert streamed(events, "stderr") == "".join(f"{-n}\n" for n in range(30))


def test_wide_lines_are_whole(session: Session) -> None:
    """Each holds its cell back until it has been taken."""
    execution = session.run("for n in range(60): print(n, 'x' * 80_000)")
    assert [line.split(" ")[0] for line in text(execution).splitlines()] == [str(n) for n in range(60)]
    assert len(text(execution)) > 60 * 80_000


@pytest.mark.parametrize(
    "code",
    [
        "for n in range(150): print('x' * 1_000_000)",
        "for n in range(60_000): print('x' * 2_500)",
        "for n in range(150): display({'text/html': 'x' * 1_000_000}, raw=True)",
        "for n in range(150): display({'text/html': 'x' * 1_000_000}, raw=True, display_id='same', update=n > 0)",
    ],
    ids=["wide lines", "lines", "displays", "updates"],
)
def test_what_was_said_takes_no_memory_in_the_kernel(session: Session, code: str) -> None:
    """150 MB of it."""
    session.value(f"""
def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20
def say():
    {code}
before = resident()
""")
    assert session.run("say()", timeout_s=50)["status"] == "completed"
    assert int(session.value("print(resident() - before)")) < 75


def test_prints_are_merged(session: Session) -> None:
    execution = session.run("for n in range(1000): print(n)")
    assert len(execution["outputs"]) == 1
    assert execution["outputs"][0]["text"] == "".join(f"{n}\n" for n in range(1000))


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.write(1, b'below\\n')",
        "import os; os.system('echo below')",
        "import subprocess; subprocess.run(['echo', 'below'])",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"below\")'])",
        "import ctypes; ctypes.CDLL(None).printf(b'below\\n')",
        "import ctypes; ctypes.CDLL(None).puts(b'below')",
        "import sys; sys.stdout.buffer.write(b'below\\n')",
        "import sys; sys.__stdout__.write('below\\n'); sys.__stdout__.flush()",
        "!echo below",
        "%%bash\necho below",
        "print('below')",
        "import sys; print('below', file=sys.stdout, flush=True)",
    ],
)
def test_every_way_to_stdout(session: Session, code: str) -> None:
    for _ in range(3):
        execution = session.run(code + (";" if "\n" not in code and not code.startswith("!") else ""))
        assert execution["status"] == "completed"
        assert text(execution).replace("\r\n", "\n") == "below\n"
        assert text(execution, "stderr") == ""


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.write(2, b'below\\n')",
        "import os; os.system('echo below >&2')",
        "import subprocess; subprocess.run('echo below >&2', shell=True)",
        "import sys; print('below', file=sys.stderr)",
        "import sys; sys.__stderr__.write('below\\n'); sys.__stderr__.flush()",
        "import warnings; warnings.warn('below')",
        "import logging; logging.warning('below')",
    ],
)
def test_every_way_to_stderr(session: Session, code: str) -> None:
    execution = session.run(code + ";")
    assert "below\n" in text(execution, "stderr")
    assert text(execution) == ""


def test_print_before_and_after_a_subprocess(session: Session) -> None:
    code = """
import subprocess
for n in range(20):
    print('before', n)
    subprocess.run(['echo', f'during {n}'])
    print('after', n)
"""
    wanted = "".join(f"before {n}\nduring {n}\nafter {n}\n" for n in range(20))
    assert sorted(session.value(code).splitlines()) == sorted(wanted.splitlines())


@pytest.mark.parametrize(
    "value",
    [
        "naïve 漢字 Ωμέγα עברית",
        "🐍👩‍👩‍👧‍👦🏳️‍🌈",
        "nul \0 bell \a escape \x1b[31mred\x1b[0m \x7f",
        "lines \u2028 \u2029 \x85 \v \f \r \r\n",
        "\ufeff\ufffe\uffff\U0010ffff",
        "<script>&amp;</script> data: id: 5\n\nevent: fake\ndata: {}\n\n",
        "\n\n\n",
        " ",
    ],
    ids=ascii,
)
def test_text_is_unchanged(session: Session, value: str) -> None:
    code = f"x = {value!a}\nprint(x, end='')\ndisplay({{'text/plain': x}}, raw=True)"
    events = session.events(code)
    assert streamed(events) == value
    shown = next(event for event in events if event.type == "output.display")
    assert shown.data["data"]["text/plain"] == value
    execution = session.execution(events[-1].data["id"])
    assert text(execution) == value
    assert displays(execution) == [{"text/plain": value}]


def test_lone_surrogates(session: Session) -> None:
    r"""What cannot be UTF-8 is replaced; everything around it arrives."""
    execution = session.run(r"print('a\ud800b'); display({'text/plain': 'c\udfffd'}, raw=True); 'e\ud800f'")
    assert execution["status"] == "completed"
    out = text(execution)
    assert out.startswith("a")
    assert out.endswith("b\n")
    shown, result = displays(execution)
    assert (shown["text/plain"][0], shown["text/plain"][-1]) == ("c", "d")
    assert "e" in result["text/plain"]
    assert session.run(r"raise ValueError('x\ud800y')")["error"]["name"] == "ValueError"
    assert session.value("print('on')") == "on\n"


def test_bytes_that_are_no_text(session: Session) -> None:
    out = session.value(
        r"import os; os.write(1, b'a\xff\xfeb\n'); os.write(1, '漢'.encode()[:1]); os.write(1, '漢'.encode()[1:]);"
    )
    assert out.startswith("a")
    assert out.endswith("b\n漢")


def test_print_of_10_mb(session: Session) -> None:
    events = session.events(f"print('é' * {10 * MIB})")
    assert streamed(events) == "é" * (10 * MIB) + "\n"
    assert len(text(session.execution(events[-1].data["id"]))) == 10 * MIB + 1


def test_display_of_10_mb(session: Session) -> None:
    """Plain text is no artifact, whatever its size, nor is what should be base64 and is not."""
    big = f"{{'text/plain': 'x' * {10 * MIB}, 'application/x-big': '-' * {10 * MIB}}}"
    events = session.events(f"display({big}, raw=True)")
    shown = next(event for event in events if event.type == "output.display")
    assert len(shown.data["data"]["application/x-big"]) == 10 * MIB
    (bundle,) = displays(session.execution(events[-1].data["id"]))
    assert bundle == {"text/plain": "x" * (10 * MIB), "application/x-big": "-" * (10 * MIB)}


def test_100_000_flushed_prints(session: Session) -> None:
    wanted = "".join(f"{n}\n" for n in range(100_000))
    events = session.events("for n in range(100_000): print(n, flush=True)")
    assert streamed(events) == wanted
    assert text(session.execution(events[-1].data["id"])) == wanted


def test_200_000_lines(session: Session) -> None:
    events = session.events("for n in range(200_000): print(f'{n:06} ' + 'x' * 93)")
    assert streamed(events) == "".join(f"{n:06} {'x' * 93}\n" for n in range(200_000))


def test_20_mb_from_a_subprocess(session: Session) -> None:
    execution = session.run("import subprocess; subprocess.run('yes 0123456789 | head -c 20000000', shell=True);")
    assert len(text(execution)) == 20_000_000


def test_output_that_takes_its_time_still_belongs_to_its_cell(session: Session) -> None:
    """Much of it is still to be sent when the cell is through."""
    code = """
import time
from IPython.display import display
said = get_ipython().kernel.iopub_socket._said
socket = said._socket
class Slow:
    def __getattr__(self, name):
        return getattr(socket, name)
    def send_multipart(self, parts):
        time.sleep(0.03)
        socket.send_multipart(parts)
said._socket = Slow()
for number in range(250):
    display({'text/plain': str(number)}, raw=True)
"""
    events = session.events(code)
    shown = [event.data["data"]["text/plain"] for event in events if event.type == "output.display"]
    assert shown == [str(number) for number in range(250)]


def test_output_arrives_while_the_cell_runs(session: Session) -> None:
    code = "import pathlib\nprint('first', flush=True)\nwhile not pathlib.Path('go').exists(): pass\nprint('second')"
    with session.stream(code, timeout_s=20) as stream:
        started = stream.until_text("first")
        state = session.execution(started.data["execution_id"])
        assert (state["status"], text(state)) == ("running", "first\n")
        session.touch("go")
        stream.until_text("second")
        assert stream.until("execution.completed").data["status"] == "completed"


LATE = """
import threading, pathlib
def late():
    while not pathlib.Path('go').exists(): pass
    print('too late')
thread = threading.Thread(target=late)
thread.start()
print('in time')
"""


def test_late_output(session: Session) -> None:
    events = session.events(LATE)
    assert types(events) == ["execution.started", "output.stream", "execution.completed"]
    id_ = events[-1].data["id"]
    with session.follow(after=events[-1].id) as stream:
        session.touch("go")
        late = stream.until_text("too late\n")
    assert late.data["late_execution_id"] == id_
    assert "execution_id" not in late.data
    assert text(session.execution(id_)) == "in time\ntoo late\n"
    with session.follow(id_) as stream:
        assert [event.type for event in stream][-1] == "execution.completed"
    assert types(events) == ["execution.started", "output.stream", "execution.completed"]


def test_late_output_during_another_cell(session: Session) -> None:
    """What a thread of the first cell prints while a second one runs belongs to the first."""
    first = session.run(LATE)["id"]
    second = session.events("open('go', 'w').close(); thread.join(); print('mine')")
    assert streamed(second) == "mine\n"
    assert text(session.execution(first)) == "in time\ntoo late\n"


def test_output_of_sessions_is_not_mixed(house: House) -> None:
    sessions = [house.session() for _ in range(4)]
    for number, session in enumerate(sessions):
        assert session.value(f"for _ in range(1000): print({number})") == f"{number}\n" * 1000


@pytest.mark.parametrize(
    "code", ["sys.stdout = 5", "sys.stderr = None", "del sys.stdout", "sys.stdout = open('x', 'w')"]
)
def test_whatever_stands_for_stdout_the_kernel_lives(session: Session, code: str) -> None:
    assert session.run(f"import sys\nx = 1\n{code}")["state_lost"] is False
    assert session.run("x")["outputs"][0]["data"]["text/plain"] == "1"
