# docker build -t kernelgw . && docker run -p 8000:8000 -e KERNELGW_TOKEN=… -v kernelgw:/data kernelgw
# Beyond loopback the gateway refuses to start without KERNELGW_TOKEN. The sandbox makes user namespaces: where the
# engine forbids them the gateway says so and does not start; docs/running.md has more.

FROM python:3.11-slim-bookworm AS builder

# A venv cannot be moved: it is made here at the path where the next stage has it.
RUN python -m venv /opt/kernelgw
ENV PATH=/opt/kernelgw/bin:$PATH

WORKDIR /source
COPY requirements/gateway.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/gateway.txt
COPY . .
RUN pip install --no-cache-dir --no-deps .
RUN PIP_NO_CACHE_DIR=1 /opt/kernelgw/bin/python -I -m kernelgw.environments build default


FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 1000 --create-home kernelgw && install -d -o kernelgw -g kernelgw /data
COPY --from=builder /opt/kernelgw /opt/kernelgw

USER kernelgw
WORKDIR /data
ENV PATH=/opt/kernelgw/bin:$PATH KERNELGW_DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

ENTRYPOINT ["kernelgw", "serve", "--host", "0.0.0.0"]
