import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor


def square(n):
    return n * n


lock = threading.Lock()
total = 0


def add(n):
    global total
    for _ in range(1000):
        with lock:
            total += n


threads = [threading.Thread(target=add, args=(n,)) for n in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("total:", total)

with ThreadPoolExecutor(4) as pool:
    print("squares:", list(pool.map(square, range(6))))
with multiprocessing.get_context("fork").Pool(2) as pool:
    print("in processes:", sum(pool.map(square, range(100))))
