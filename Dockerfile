# Rollbook in a container: one image, started through its console script only.
# The first stage builds; the second has neither a compiler nor the source tree.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# The locked packages are a layer of their own: they change less often than the code.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /opt/rollbook \
 && /opt/rollbook/bin/pip install --require-hashes --requirement requirements/runtime.txt \
 && pip install --require-hashes --requirement requirements/build.txt

COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY projections projections
COPY adapters adapters
COPY workers workers
COPY gateway gateway
COPY kubelet kubelet
COPY rollbook rollbook
RUN hatchling build -t wheel -d dist \
 && /opt/rollbook/bin/pip install --no-deps dist/*.whl

FROM python:3.12-slim
# A new named volume takes the owner of the folder that it is mounted over; the names are
# those of docker-compose.yml.
RUN useradd --system --uid 10001 --no-create-home rollbook \
 && cd / && install --directory --owner rollbook --mode 0700 data data/nats \
    data/admin data/api data/control data/monitor data/node-worker-1 data/node-worker-2
COPY --from=build /opt/rollbook /opt/rollbook
ENV PATH=/opt/rollbook/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
USER rollbook
ENTRYPOINT ["rollbook"]
CMD ["--help"]
