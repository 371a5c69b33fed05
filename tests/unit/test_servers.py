"""Programs that are servers are known as such, and others are not taken for one."""

from __future__ import annotations

import pytest

from kernelgw.compat.servers import serves

FLASK = "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef home():\n    return 'hi'\n"
FASTAPI = (
    "from fastapi import FastAPI\nimport uvicorn\napp = FastAPI()\n@app.get('/')\nasync def home():\n    return 1\n"
)
EXPRESS = "const express = require('express');\nconst app = express();\napp.get('/', (q, s) => s.send('x'));\n"
HTTP = "from http.server import HTTPServer, BaseHTTPRequestHandler as H\nserver = HTTPServer(('', 8000), H)\n"

SERVERS = [
    ("python", FLASK + "if __name__ == '__main__':\n    app.run(debug=True)", "Flask"),
    ("python", FLASK, "Flask"),
    ("python", "import flask\nserver = flask.Flask('x')\nserver.run(port=5000)", "Flask"),
    ("python", FASTAPI + "uvicorn.run(app, port=8000)", "uvicorn.run"),
    ("python", FASTAPI, "FastAPI"),
    ("python", HTTP + "server.serve_forever()", "serve_forever"),
    (
        "python",
        "import socketserver\nwith socketserver.TCPServer(('', 1), None) as s:\n    s.serve_forever()",
        "serve_forever",
    ),
    ("python", "import streamlit as st\nst.title('x')", "Streamlit"),
    (
        "python",
        "import gradio as gr\ndemo = gr.Interface(fn=str, inputs='text', outputs='text')\ndemo.launch()",
        "Interface",
    ),
    ("python", "import gradio as gr\nwith gr.Blocks() as demo:\n    gr.Button('x')\ndemo.launch()", "Blocks"),
    ("python", "from dash import Dash\napp = Dash()\napp.run_server()", "Dash"),
    ("python", "from aiohttp import web\napp = web.Application()\nweb.run_app(app)", "run_app"),
    ("javascript", EXPRESS + "app.listen(3000, () => console.log('up'));", "express"),
    ("javascript", "import http from 'node:http';\nhttp.createServer((q, s) => s.end('x')).listen(8080);", "server"),
    ("typescript", "import express from 'express';\nconst app = express();\napp.listen(3000);", "express"),
    ("bash", "cd site\npython3 -m http.server 8000", "http.server"),
    ("bash", "pip install flask\nFLASK_APP=app.py flask run --port 5000", "flask run"),
    ("bash", "npm install\nnpm start", "npm start"),
    ("bash", "exec uvicorn main:app --reload", "uvicorn"),
    ("bash", 'cat <<EOF > a\nx\nEOF\nFLASK_APP="app.py" flask run 2>&1 # here\n', "flask run"),
    ("bash", "sleep 1 & npm install; npm \\\n  start", "npm start"),
    ("python", FLASK + "import threading\nthreading.Timer(1, print).start()\napp.run()", "Flask"),
    ("python", FLASK + "def main():\n    app.run()\nif __name__ == '__main__':\n    main()", "Flask"),
    (
        "python",
        FASTAPI + "import typer\ncli = typer.Typer()\n@cli.command()\ndef go():\n    uvicorn.run(app)\ncli()",
        "uvicorn",
    ),
    (
        "python",
        "import asyncio\nasync def main():\n    await server.serve_forever()\nasyncio.run(main())",
        "serve_forever",
    ),
    ("python", FASTAPI + "async def f():\n    await asyncio.wait_for(g(), 1)\nuvicorn.run(app)", "uvicorn.run"),
]
OTHERS = [
    ("python", "print('app.run()')"),
    ("python", "from flask import Flask\nprint(Flask.__doc__)"),
    ("python", FLASK + "client = app.test_client()\nprint(client.get('/').data)"),
    ("python", FASTAPI + "from fastapi.testclient import TestClient\nprint(TestClient(app).get('/').json())"),
    ("python", HTTP + "import threading\nthreading.Thread(target=server.serve_forever).start()\nserver.shutdown()"),
    ("python", HTTP + "server.handle_request()"),
    ("python", HTTP + "import threading, requests\nthreading.Thread(target=server.serve_forever, daemon=True).start()"),
    ("python", HTTP + "from threading import Thread as T\nT(target=server.serve_forever, daemon=True).start()\nget()"),
    (
        "python",
        HTTP + "def serve():\n    server.serve_forever()\nimport threading\nthreading.Thread(target=serve).start()",
    ),
    ("python", HTTP + "import threading\nthreading.Timer(1, server.shutdown).start()\nserver.serve_forever()"),
    (
        "python",
        HTTP + "class S(Thread):\n    def run(self):\n        server.serve_forever()\nS().start()",
    ),
    ("python", HTTP + "def serve():\n    server.serve_forever()\nprint('defined')"),
    ("python", "import asyncio\nt = asyncio.create_task(server.serve_forever())\nawait asyncio.sleep(1)"),
    ("python", "import asyncio\nawait asyncio.wait_for(server.serve_forever(), 1)"),
    ("python", "loop.call_later(1, loop.stop)\nloop.run_forever()"),
    (
        "python",
        FLASK + "import threading\nthreading.Thread(target=lambda: app.run(port=5000), daemon=True).start()\nget()",
    ),
    ("python", FLASK + "from multiprocessing import Process\nProcess(target=app.run).start()"),
    ("python", FLASK + "with app.test_request_context():\n    x = home()"),
    ("python", FLASK + "print(home())"),
    ("python", FLASK + "assert home() == 'hi'"),
    ("python", FASTAPI + "list(app.routes)"),
    ("python", "import streamlit\nprint(streamlit.__version__)"),
    ("python", "import asyncio\nasyncio.run(main())"),
    ("python", "import subprocess\nsubprocess.run(['ls'])"),
    ("python", "class Runner:\n    def run(self): return 1\napp = Runner()\napp.run()"),
    ("python", "def broken(:\n  serve_forever()"),
    ("javascript", "const list = { listen() {} };\nlist.listen();"),
    ("javascript", "const http = require('http');\nconst s = http.createServer();\ns.listen(0, () => s.close());"),
    (
        "javascript",
        EXPRESS
        + "app.listen(3000, async () => { console.log(await (await fetch('http://localhost:3000')).text()); });",
    ),
    ("javascript", EXPRESS + "app.listen(3000).unref();"),
    ("javascript", "console.log(`require('express'); app.listen(3000)`);"),
    ("bash", "python3 -m http.server 8000 &\ncurl localhost:8000"),
    ("bash", "python3 -m http.server 8000 & sleep 0.5; curl -s localhost:8000 | head -1; kill %1"),
    ("bash", "python3 -m http.server 8000 > log 2>&1 &\nsleep 1\ncurl localhost:8000"),
    ("bash", "uvicorn main:app &>log &"),
    ("bash", "serve() { npm start; }\nls"),
    ("bash", "echo 'to start; npm start'"),
    ("bash", "timeout 1 python3 -m http.server"),
    ("bash", "echo npm start"),
    ("bash", "cat <<EOF > run.sh\nnpm start\nEOF"),
    ("bash", "uvicorn --version"),
    ("html", "<script>app.listen(3000)</script>"),
]


@pytest.mark.parametrize(("language", "code", "word"), SERVERS)
def test_servers(language: str, code: str, word: str) -> None:
    why = serves(code, language)
    assert why is not None
    assert word in why
    assert why.endswith(".")


@pytest.mark.parametrize(("language", "code"), OTHERS)
def test_others(language: str, code: str) -> None:
    assert serves(code, language) is None
