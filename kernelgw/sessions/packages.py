"""Which package brings what: only what is surely so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Of Python: the package that a module is in, where it is called otherwise.
MODULES: Mapping[str, str] = MappingProxyType(
    {
        "Bio": "biopython",
        "Crypto": "pycryptodome",
        "Cryptodome": "pycryptodomex",
        "Levenshtein": "levenshtein",
        "MySQLdb": "mysqlclient",
        "OpenSSL": "pyopenssl",
        "PIL": "pillow",
        "attr": "attrs",
        "barcode": "python-barcode",
        "bs4": "beautifulsoup4",
        "bson": "pymongo",
        "camelot": "camelot-py",
        "cv2": "opencv-python-headless",
        "dateutil": "python-dateutil",
        "decouple": "python-decouple",
        "discord": "discord.py",
        "docx": "python-docx",
        "dotenv": "python-dotenv",
        "faiss": "faiss-cpu",
        "fitz": "pymupdf",
        "git": "gitpython",
        "github": "pygithub",
        "grpc": "grpcio",
        "imblearn": "imbalanced-learn",
        "jose": "python-jose",
        "jwt": "pyjwt",
        "kafka": "kafka-python",
        "magic": "python-magic",
        "mpl_toolkits": "matplotlib",
        "multipart": "python-multipart",
        "nacl": "pynacl",
        "pdfminer": "pdfminer.six",
        "pkg_resources": "setuptools",
        "pptx": "python-pptx",
        "psycopg2": "psycopg2-binary",
        "rest_framework": "djangorestframework",
        "serial": "pyserial",
        "shapefile": "pyshp",
        "skimage": "scikit-image",
        "sklearn": "scikit-learn",
        "skopt": "scikit-optimize",
        "slugify": "python-slugify",
        "speech_recognition": "speechrecognition",
        "tabula": "tabula-py",
        "telegram": "python-telegram-bot",
        "umap": "umap-learn",
        "usb": "pyusb",
        "websocket": "websocket-client",
        "yaml": "pyyaml",
        "zmq": "pyzmq",
    }
)
# And those that are called as their module is.
SAME = _words(
    "aiofiles aiohttp altair anthropic anyio arrow asyncpg bcrypt black bokeh boto3 bottle celery chardet click",
    "colorama cryptography cvxpy dash dask django duckdb faker fastapi feedparser fiona flask folium fsspec",
    "gensim geopandas geopy gradio gunicorn h5py httpx humanize hypothesis imageio ipywidgets jax jinja2 joblib",
    "keras langchain lightgbm loguru lxml markdown matplotlib mpmath mypy netaddr networkx nltk numba numexpr",
    "numpy openai openpyxl orjson pandas paramiko passlib patsy peewee pendulum plotly polars prophet psutil",
    "psycopg pyarrow pydantic pydub pygame pygments pymongo pymysql pyparsing pypdf pyperclip pytest pytz qrcode",
    "rasterio redis regex reportlab requests rich ruff sanic scipy scrapy seaborn selenium shap shapely simpy",
    "spacy sqlalchemy starlette statsmodels streamlit sympy tabulate tenacity tensorflow tiktoken tokenizers toml",
    "torch torchaudio torchvision tornado tqdm transformers typer ujson unidecode uvicorn websockets werkzeug",
    "wordcloud xarray xgboost xlrd xlsxwriter xmltodict yfinance zstandard",
)
# Names below which many packages have parts; and of such parts the package.
SHARED = _words("azure backports google ruamel zope")
PARTS: Mapping[str, str] = MappingProxyType(
    {
        "azure.identity": "azure-identity",
        "azure.storage.blob": "azure-storage-blob",
        "google.auth": "google-auth",
        "google.cloud.bigquery": "google-cloud-bigquery",
        "google.cloud.storage": "google-cloud-storage",
        "google.genai": "google-genai",
        "google.generativeai": "google-generativeai",
        "google.protobuf": "protobuf",
        "ruamel.yaml": "ruamel.yaml",
        "zope.interface": "zope.interface",
    }
)
# Of Python's standard library, and only there.
WINDOWS = _words("_winapi msvcrt nt winreg winsound")
# Of Node: its own modules, which no package brings.
NODE = _words(
    "assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns",
    "domain events fs http http2 https inspector module net os path perf_hooks process punycode querystring",
    "readline repl stream string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib",
)
# Commands: what installs them in a session, with a network for packages.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("black", "flake8", "mypy", "pylint", "pytest", "ruff", "isort"), "pip install {}"),
        **dict.fromkeys(("flask", "gunicorn", "poetry", "scrapy", "streamlit", "uvicorn", "uv"), "pip install {}"),
        **dict.fromkeys(("cookiecutter", "httpie", "pipenv", "tox", "virtualenv", "yt-dlp"), "pip install {}"),
        **dict.fromkeys(("esbuild", "eslint", "jest", "nodemon", "pnpm", "prettier", "serve"), "npm install -g {}"),
        **dict.fromkeys(("http-server", "ts-node", "tsx", "vite", "webpack", "yarn"), "npm install -g {}"),
        "django-admin": "pip install django",
        "http": "pip install httpie",
        "tsc": "npm install -g typescript",
        "jupyter": "pip install jupyter",
    }
)
# What needs root, which nobody is in a session.
OF_ROOT = frozenset(
    ("apt", "apt-get", "apk", "brew", "dnf", "dpkg", "snap", "su", "sudo", "yum", "systemctl", "service")
)


def module(name: str) -> tuple[str, bool]:
    """The package that a Python module is in, and whether that is known or only likely, by its name."""
    top = name.partition(".")[0]
    if known := MODULES.get(top) or (top if top in SAME else None):
        return known, True
    return top, False
