# syntax=docker/dockerfile:1
# The gateway alone: no compiler, no pip, no package cache in the result, and not root.
#
#   docker build -t index-gateway .
#   docker run -p 8080:8080 -v gateway:/data index-gateway
#
# /data holds gateway.yaml and everything that must last: the keys and, with SQLite, the state.
# In a container the configuration says `listen: 0.0.0.0:8080`.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv --without-pip /opt/gateway \
 && python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-compile \
        --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-compile \
        --no-deps --no-build-isolation . \
 && python -m pip --python /opt/gateway/bin/python uninstall --yes setuptools \
 && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib \
 && /opt/gateway/bin/index-gateway --version

FROM python:3.13-slim
RUN python -m pip uninstall --yes pip \
 && groupadd --system --gid 10001 gateway \
 && useradd --system --uid 10001 --gid gateway --no-create-home --home-dir /data gateway \
 && install -d -o gateway -g gateway -m 0700 /data
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1
USER gateway
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:8080/+auth/health', timeout=4).status != 200)"]
ENTRYPOINT ["index-gateway"]
CMD ["serve", "-c", "/data/gateway.yaml"]
