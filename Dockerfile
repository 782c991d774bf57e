# syntax=docker/dockerfile:1
# The gateway alone: Debian's Python, the gateway and its pinned dependencies. No shell, no package
# manager, no compiler, and not root. It runs with a read-only root and without capabilities.
#
#   docker build -t index-gateway .
#
# /data holds gateway.yaml and everything that must last: the keys and, with SQLite, the state.
# In a container the configuration says `listen: 0.0.0.0:8080`; docs/deployment.md has the whole way.

FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils ca-certificates python3-venv
WORKDIR /src
COPY . .
RUN tools/image-root /image

FROM scratch
COPY --from=build /image /
ENV PATH=/usr/bin \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python3", "-c", "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:8080/+auth/health', timeout=4).status != 200)"]
ENTRYPOINT ["index-gateway"]
CMD ["serve", "-c", "/data/gateway.yaml"]
