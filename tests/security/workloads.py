"""Ordinary programs that a filter must not disturb. Each prints "worked" when it has checked what it did."""

from __future__ import annotations

from types import MappingProxyType

PYTHON = MappingProxyType(
    {
        "numpy": """
import numpy as np
a = np.random.default_rng(1).random((300, 300))
assert np.allclose(a @ np.linalg.inv(a), np.eye(300), atol=1e-6)
np.save('/tmp/a.npy', a)
assert (np.load('/tmp/a.npy', mmap_mode='r') == a).all()
print('worked')
""",
        "pandas": """
import numpy as np, pandas as pd
frame = pd.DataFrame({'k': np.arange(10000) % 7, 'v': np.arange(10000.0)})
frame.to_csv('/workspace/a.csv', index=False)
again = pd.read_csv('/workspace/a.csv', engine='c', memory_map=True)
assert again.groupby('k').v.sum().sum() == frame.v.sum()
print('worked')
""",
        "matplotlib": """
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
figure.savefig('/workspace/a.png')
figure.savefig('/workspace/a.pdf')
assert open('/workspace/a.png', 'rb').read(4) == b'\\x89PNG'
print('worked')
""",
        "scikit-learn in two processes": """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC
x = np.random.default_rng(1).random((200, 5)); y = x[:, 0] > 0.5
assert RandomForestClassifier(20, n_jobs=2, random_state=1).fit(x, y).score(x, y) > 0.95
assert cross_val_score(SVC(), x, y, cv=2, n_jobs=2).mean() > 0.8
print('worked')
""",
        "scipy": """
import numpy as np, scipy.fft, scipy.optimize, scipy.sparse.linalg
assert abs(scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2, [0]).x[0] - 3) < 1e-3
a = np.arange(64.0)
assert np.allclose(scipy.fft.ifft(scipy.fft.fft(a, workers=2), workers=2).real, a)
assert scipy.sparse.linalg.spsolve(scipy.sparse.eye(50, format='csc') * 2, np.ones(50)).sum() == 25
print('worked')
""",
        "pipes between programs": """
import subprocess
text = subprocess.check_output('seq 1000 | sort -rn | tee /tmp/all | head -1; wc -l < /tmp/all', shell=True, text=True)
assert text.split() == ['1000', '1000']
first = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
second = subprocess.Popen(['tr', 'a-z', 'A-Z'], stdin=first.stdout, stdout=subprocess.PIPE)
first.stdin.write(b'abc'); first.stdin.close(); first.wait()
assert second.communicate()[0] == b'ABC'
print('worked')
""",
        "multiprocessing": """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
for method in ('fork', 'spawn', 'forkserver'):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
queue = multiprocessing.Queue(); queue.put(1)
assert queue.get() == 1
with multiprocessing.Manager() as manager:
    shared = manager.dict(); shared['a'] = 1
    assert dict(shared) == {'a': 1}
with ProcessPoolExecutor(2) as pool:
    assert len(list(pool.map(abs, range(10)))) == 10
print('worked')
""",
        "threads": """
import threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(20) as pool:
    assert sum(pool.map(lambda n: n * n, range(100))) == 328350
event = threading.Event()
timer = threading.Timer(0.01, event.set); timer.start()
assert event.wait(20)
print('worked')
""",
        "asyncio": """
import asyncio, sys
async def run():
    child = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(input())', stdin=-1, stdout=-1)
    out, _ = await child.communicate(b'in')
    server = await asyncio.start_unix_server(lambda r, w: (w.write(b'hello'), w.close()), '/tmp/unix')
    reader, writer = await asyncio.open_unix_connection('/tmp/unix')
    got = await reader.read()
    writer.close(); server.close()
    return out, got
assert await run() == (b'in\\n', b'hello')
print('worked')
""",
        "ctypes callbacks and code made at run time": """
import ctypes, mmap, platform
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 4)(3, 1, 4, 1)
ctypes.CDLL(None).qsort(numbers, 4, 4, compare(lambda a, b: a[0] - b[0]))
assert list(numbers) == [1, 1, 3, 4]
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
return_7 = {'x86_64': 'b807000000c3', 'aarch64': 'e0008052c0035fd6'}[platform.machine()]
page.write(bytes.fromhex(return_7))
assert ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() == 7
print('worked')
""",
        "sqlite": """
import sqlite3, threading
database = sqlite3.connect('/workspace/a.db')
assert database.execute('pragma journal_mode=wal').fetchone() == ('wal',)
database.execute('create table t(a)')
with database:
    database.executemany('insert into t values (?)', [(n,) for n in range(1000)])
other = sqlite3.connect('/workspace/a.db')
assert other.execute('select sum(a) from t').fetchone() == (499500,)
print('worked')
""",
        "shared memory": """
import numpy as np, subprocess, sys
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(create=True, size=8000)
np.ndarray((1000,), buffer=block.buf)[:] = 1.0
code = f"from multiprocessing.shared_memory import SharedMemory as S; b = S({block.name!r}); print(sum(b.buf[6::8]))"
assert subprocess.check_output([sys.executable, '-W', 'ignore', '-c', code]).strip() == str(0xf0 * 1000).encode()
block.close()
print('worked')
""",
        "server and client": """
import http.server, socket, threading, urllib.request
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
assert opener.open(f'http://127.0.0.1:{server.server_port}/', timeout=20).status == 200
server.shutdown(); server.server_close()
left, right = socket.socketpair()
socket.send_fds(left, [b'x'], [0])
assert socket.recv_fds(right, 1, 1)[0] == b'x'
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.bind(('127.0.0.1', 0))
datagrams.sendto(b'y', datagrams.getsockname())
assert datagrams.recv(1) == b'y'
assert socket.if_nametoindex('lo') == 1
print('worked')
""",
        "names and addresses without netlink": """
import asyncio, socket
for flags in (0, socket.AI_ADDRCONFIG, socket.AI_PASSIVE):
    assert '127.0.0.1' in {found[4][0] for found in socket.getaddrinfo('localhost', 80, flags=flags)}
async def run():
    server = await asyncio.start_server(lambda r, w: (w.write(b'hello'), w.close()), 'localhost', 0)
    reader, writer = await asyncio.open_connection('localhost', server.sockets[0].getsockname()[1])
    got = await reader.read()
    writer.close(); server.close()
    return got
assert await run() == b'hello'
print('worked')
""",
        # libzmq asks for the interfaces' names when it binds, and aborts at most of what it may be answered.
        "ZeroMQ over TCP": """
import zmq
with zmq.Context() as context, context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
    port = server.bind_to_random_port('tcp://127.0.0.1')
    client.connect(f'tcp://localhost:{port}')
    client.send(b'x')
    assert server.recv() == b'x'
print('worked')
""",
        "files and tools": """
import os, subprocess, tempfile, shutil, zipfile
script = '''
set -e
cd /workspace && mkdir -p d/e && echo a > d/a && ln -s a d/s && ln d/a d/h && mkfifo d/p
cp -a d copy && mv copy d/e/ && tar czf d.tgz d && rm -r d && tar xzf d.tgz && find d | sort | md5sum
(sleep 0.01; echo x) & wait
timeout 20 bash -c 'read -r line < <(echo hi); test $line = hi'
dd if=/dev/urandom of=big bs=64k count=16 2>&1; truncate -s 1M sparse; split -n 4 big; cat xa? | cmp - big
'''
subprocess.run(['bash', '-c', script], check=True, stdout=subprocess.DEVNULL)
with tempfile.TemporaryDirectory() as folder:
    shutil.copytree('/workspace/d/e', folder + '/x', ignore=shutil.ignore_patterns('p'))
os.posix_fallocate(descriptor := os.open('/workspace/space', os.O_RDWR | os.O_CREAT), 0, 4096)
print('worked')
""",
        "terminals": """
import os, pty, subprocess
leader, follower = pty.openpty()
child = subprocess.Popen(['sh', '-c', 'tty && stty size'], stdin=follower, stdout=follower, start_new_session=True)
os.close(follower); child.wait()
assert b'/dev/pts/' in os.read(leader, 1000)
print('worked')
""",
        "a package that is built and installed": """
import pathlib, subprocess, sys
source = pathlib.Path('/workspace/source'); source.mkdir()
(source / 'pyproject.toml').write_text('[project]\\nname = "one"\\nversion = "1"\\n[build-system]\\nrequires = []\\n'
                                       'build-backend = "own"\\nbackend-path = ["."]\\n')
(source / 'own.py').write_text('''
import zipfile
def build_wheel(folder, *_):
    name = 'one-1-py3-none-any.whl'
    with zipfile.ZipFile(f'{folder}/{name}', 'w') as file:
        file.writestr('one.py', 'value = 1')
        file.writestr('one-1.dist-info/METADATA', 'Metadata-Version: 2.1\\\\nName: one\\\\nVersion: 1\\\\n')
        file.writestr('one-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\\\nTag: py3-none-any\\\\n')
        file.writestr('one-1.dist-info/RECORD', 'one.py,,\\\\n')
    return name
''')
pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'install', '-q', '--no-index', '--target']
result = subprocess.run([*pip, '/workspace/made', str(source)], capture_output=True, text=True)
assert result.returncode == 0, result
assert subprocess.check_output([sys.executable, '-c', 'import one; print(one.value)'], cwd='/workspace/made') == b'1\\n'
print('worked')
""",
    }
)

NODE = MappingProxyType(
    {
        "addresses": """
import('os').then(({ networkInterfaces, default: os }) => {
  const found = [networkInterfaces(), os.networkInterfaces(), require('os').networkInterfaces()]
  console.log(found.every((each) => each.lo[0].address === '127.0.0.1') ? 'worked' : found)
})
""",
        "workers": """
const { Worker } = require('worker_threads')
const worker = new Worker(`require('worker_threads').parentPort.postMessage(6 * 7)`, { eval: true })
worker.on('message', (value) => console.log(value === 42 ? 'worked' : value))
""",
        "child processes": """
const { execFileSync, spawn, fork } = require('child_process')
const echoed = execFileSync('sh', ['-c', 'echo hi | tr h j']).toString()
const cat = spawn('cat'); let text = ''
cat.stdout.on('data', (piece) => { text += piece })
cat.on('close', () => console.log(echoed === 'ji\\n' && text === 'abc' ? 'worked' : [echoed, text]))
cat.stdin.end('abc')
""",
        "files": """
const fs = require('fs')
fs.writeFileSync('/workspace/n', 'x'.repeat(100000))
fs.copyFileSync('/workspace/n', '/workspace/m')
const watcher = fs.watch('/workspace', () => {
  watcher.close()
  fs.promises.readFile('/workspace/m').then((data) => console.log(data.length === 100000 ? 'worked' : data.length))
})
fs.promises.rename('/workspace/n', '/workspace/o')
""",
        "a server": """
const http = require('http')
const server = http.createServer((request, response) => response.end('hello')).listen(0, '127.0.0.1', () => {
  http.get({ port: server.address().port, host: '127.0.0.1', agent: false }, (response) => {
    response.on('data', (data) => { console.log(data.toString() === 'hello' ? 'worked' : data); server.close() })
  })
})
""",
        "compiled code": """
const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0]
bytes.push(10, 6, 1, 4, 0, 65, 42, 11)
WebAssembly.instantiate(new Uint8Array(bytes)).then(({ instance }) => {
  let sum = 0
  for (let n = 0; n < 5e6; n++) sum += n & instance.exports.f()
  console.log(instance.exports.f() === 42 && sum > 0 ? 'worked' : sum)
})
""",
    }
)
