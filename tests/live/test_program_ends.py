"""A whole program in a cell: it runs an event loop to its end, and ends itself, as it would in a file of its own."""

from __future__ import annotations

import pytest

from .client import Session, text

pytestmark = pytest.mark.live

MAIN = """import asyncio, contextvars
seen = contextvars.ContextVar("seen")
seen.set("mine")
async def main():
    await asyncio.sleep(0.01)
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(3)))
    print("done", seen.get())
    return 7
"""


@pytest.mark.parametrize(
    "run",
    [
        "asyncio.run(main())",
        "with asyncio.Runner() as runner: runner.run(main())",
        "loop = asyncio.new_event_loop()\nloop.run_until_complete(main())\nloop.close()",
        "asyncio.set_event_loop(asyncio.new_event_loop())\nasyncio.run(main())",
        "loop = asyncio.get_event_loop()\nloop.run_until_complete(loop.create_task(main()))\nloop.close()",
        "loop = asyncio.get_event_loop()\nloop.create_task(main()).add_done_callback(lambda _: loop.stop())\n"
        "loop.run_forever()",
        "await asyncio.sleep(0)\nasyncio.run(main())",
        "await asyncio.sleep(0)\nasyncio.get_event_loop().run_until_complete(main())",
        "async def outer():\n    await main()\nasyncio.run(outer())",
    ],
)
def test_a_loop_that_is_run_in_a_cell(session: Session, run: str) -> None:
    assert session.value(MAIN + run) == "done mine\n"
    assert session.value("seen.set('mine')\nprint(await main())") == "done mine\n7\n"
    assert session.value("seen.set('mine')\nasyncio.run(main())") == "done mine\n"


def test_what_a_loop_raises_is_the_cell_s(session: Session) -> None:
    code = "import asyncio\nasync def main():\n    {}['a']\n"
    for run in ("asyncio.run(main())", "asyncio.get_event_loop().run_until_complete(main())"):
        error = session.run(code + run)["error"]
        assert (error["name"], error["frames"][-1]["function"]) == ("KeyError", "main")
    nested = "import asyncio\nasync def main(): asyncio.run(asyncio.sleep(0))\nasyncio.run(main())"
    assert session.run(nested)["error"]["name"] == "RuntimeError"


def test_tasks_go_on_behind_a_loop_that_was_run(session: Session) -> None:
    code = "import asyncio\nasync def later():\n    await asyncio.sleep(0.2)\n    return 'later'\n"
    session.value(code + "task = asyncio.create_task(later())\nasyncio.run(asyncio.sleep(0))")
    assert session.value("print(await task)") == "later\n"


@pytest.mark.parametrize("first", ["", "await asyncio.sleep(0)\n"])
@pytest.mark.parametrize("run", ["asyncio.run(main())", "asyncio.get_event_loop().run_until_complete(main())"])
def test_a_loop_that_is_run_is_interrupted(session: Session, first: str, run: str) -> None:
    code = "import asyncio\nasync def main():\n    print('running', flush=True)\n    await asyncio.sleep(60)\n"
    with session.stream(code + first + run) as stream:
        stream.until_text("running")
        session.interrupt()
        ended = stream.until("execution.completed").data
    assert (ended["status"], ended["state_lost"]) == ("interrupted", False)
    assert ended["error"]["name"] == "KeyboardInterrupt"
    # Whoever awaits can still be interrupted too.
    with session.stream("print('running', flush=True)\nawait asyncio.sleep(60)") as stream:
        stream.until_text("running")
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value("print('on')") == "on\n"


UNITTEST = """import unittest
class Test(unittest.TestCase):
    def test_it(self): self.assertEqual(1, 1)
unittest.main()"""


@pytest.mark.parametrize(
    "leave",
    [
        "import sys; sys.exit(0)",
        "import sys; sys.exit()",
        "raise SystemExit",
        "def main(): return 0\nimport sys\nsys.exit(main())",
        "import asyncio, sys\nasync def main(): sys.exit(0)\nasyncio.run(main())",
        "import sys\nawait __import__('asyncio').sleep(0)\nsys.exit(0)",
        UNITTEST,
    ],
)
def test_a_program_that_ends_well_has_not_failed(session: Session, leave: str) -> None:
    execution = session.run(f"kept = 1\nprint('before')\n{leave}\nprint('never')")
    assert (execution["status"], execution["error"], execution["state_lost"]) == ("completed", None, False)
    assert text(execution) == "before\n"
    said = text(execution, "stderr")
    assert "OK" in said if "unittest" in leave else said == ""
    assert session.value("print(kept)") == "1\n"


@pytest.mark.parametrize(("code", "said"), [("3", ""), ("True", ""), ("'no input'", "no input\n"), ("[]", "[]\n")])
def test_a_program_that_ends_badly_has_failed(session: Session, code: str, said: str) -> None:
    execution = session.run(f"import sys; sys.exit({code})")
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == "SystemExit"
    assert execution["error"]["value"] == code.strip("'")
    assert text(execution, "stderr") == said
