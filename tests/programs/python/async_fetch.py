import asyncio
import random
import time


async def fetch(name: str, delay: float) -> dict:
    """Pretends to fetch something from a server."""
    await asyncio.sleep(delay)
    return {"name": name, "delay": delay}


async def main():
    started = time.perf_counter()
    random.seed(1)
    results = await asyncio.gather(*(fetch(f"page-{i}", 0.1) for i in range(10)))
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(f"task-{i}", 0.05)) for i in range(3)]
    elapsed = time.perf_counter() - started
    print("fetched:", len(results), "and", [task.result()["name"] for task in tasks])
    print("side by side:", elapsed < 1.0)


await main()
