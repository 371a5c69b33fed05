# docker build -t kernelgw .
# docs/containers.md says with which options to run it; without them it names the one that is missing and ends.
# ENVIRONMENT: what sessions find installed, by a name from kernels/environments. BASE: Debian 12, whoever's.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap ca-certificates python3 python3-venv tini \
    && rm -rf /var/lib/apt/lists/*


FROM base AS builder

# A venv cannot be moved: it is made here at the path where the next stage has it.
RUN python3 -m venv /opt/kernelgw
ENV PATH=/opt/kernelgw/bin:$PATH

WORKDIR /source
COPY requirements/gateway.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/gateway.txt
COPY . .
RUN pip install --no-cache-dir --no-deps .
ARG ENVIRONMENT=default
RUN PIP_NO_CACHE_DIR=1 /opt/kernelgw/bin/python -I -m kernelgw.environments build "$ENVIRONMENT"


FROM base

RUN useradd --uid 1000 --create-home kernelgw && install -d -o kernelgw -g kernelgw /data
# Owned by root, so that nobody who got out of a session could change what all of them run.
COPY --from=builder /opt/kernelgw /opt/kernelgw
# For those who have the image alone: docker run --rm --entrypoint cat kernelgw /opt/kernelgw/seccomp.json
COPY docker/seccomp.json /opt/kernelgw/seccomp.json

USER kernelgw
WORKDIR /data
ARG ENVIRONMENT=default
ENV PATH=/opt/kernelgw/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KERNELGW_DATA_DIR=/data \
    KERNELGW_HOST=0.0.0.0 \
    KERNELGW_ENVIRONMENT=$ENVIRONMENT
VOLUME /data
EXPOSE 8000

# Where it listens is in a file of the data directory, whatever the options.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import json, urllib.request as r; \
r.urlopen(json.load(open('/data/gateway.json'))['url'] + '/healthz', timeout=2)"]

# The first process of a container has to collect those that others leave behind.
ENTRYPOINT ["tini", "--", "kernelgw"]
CMD ["serve"]
