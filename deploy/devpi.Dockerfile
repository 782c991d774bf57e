# devpi-server with its pages, its login form and its tokens, for compose.yaml. Not root; /srv/devpi lasts.
FROM python:3.13-slim
RUN pip install --no-cache-dir devpi-server==6.20.3 devpi-web==5.1.1 devpi-lockdown==2.0.0 \
        devpi-tokens==1.1.0 'setuptools<81' \
 && useradd --uid 10002 --create-home devpi \
 && install -d -o devpi -g devpi /srv/devpi
COPY --chmod=0755 devpi-start /usr/local/bin/
USER 10002
VOLUME /srv/devpi
CMD ["devpi-start"]
