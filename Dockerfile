# syntax=docker/dockerfile:1
# The gateway alone: no compiler, no pip, no package cache in the result, and not root.
#
#   docker build -t index-gateway .
#   docker run -p 8080:8080 -v "$PWD/data:/data" index-gateway
#
# /data holds gateway.yaml and everything that must last: the keys and, with SQLite, the state.
# In a container the configuration says `listen: 0.0.0.0:8080`; README.md has the whole way.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv --without-pip /opt/gateway \
 && python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-compile \
        --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY gateway gateway
RUN python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-compile \
        --no-deps --no-build-isolation . \
 && python -m pip --python /opt/gateway/bin/python uninstall --yes setuptools \
 && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib \
 && /opt/gateway/bin/index-gateway init devpi -o - >/dev/null

FROM python:3.13-slim
RUN python -m pip uninstall --yes pip \
 && groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /data \
        --shell /usr/sbin/nologin gateway \
 && install -d -o gateway -g gateway -m 0700 /data
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:8080/+auth/health', timeout=4).status != 200)"]
ENTRYPOINT ["index-gateway"]
CMD ["serve", "-c", "/data/gateway.yaml"]
