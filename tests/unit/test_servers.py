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
]
OTHERS = [
    ("python", "print('app.run()')"),
    ("python", "from flask import Flask\nprint(Flask.__doc__)"),
    ("python", FLASK + "client = app.test_client()\nprint(client.get('/').data)"),
    ("python", FASTAPI + "from fastapi.testclient import TestClient\nprint(TestClient(app).get('/').json())"),
    ("python", HTTP + "import threading\nthreading.Thread(target=server.serve_forever).start()\nserver.shutdown()"),
    ("python", HTTP + "server.handle_request()"),
    ("python", "import asyncio\nasyncio.run(main())"),
    ("python", "import subprocess\nsubprocess.run(['ls'])"),
    ("python", "class Runner:\n    def run(self): return 1\napp = Runner()\napp.run()"),
    ("python", "def broken(:\n  serve_forever()"),
    ("javascript", "const list = { listen() {} };\nlist.listen();"),
    ("javascript", "const http = require('http');\nconst s = http.createServer();\ns.listen(0, () => s.close());"),
    ("javascript", "console.log(`require('express'); app.listen(3000)`);"),
    ("bash", "python3 -m http.server 8000 &\ncurl localhost:8000"),
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
