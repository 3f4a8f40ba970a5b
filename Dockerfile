# Sluice on any host that runs containers. Cloud Run needs no image: cloudbuild.yaml deploys function/ as it is.
#
#     docker build --tag sluice .
#     docker run --publish 8080:8080 --env-file sluice.env sluice
ARG BASE=python:3.13.16-slim-trixie

# Pip and its leavings stay behind in this stage.
FROM ${BASE} AS build
COPY function/requirements.txt /
RUN python -m venv --without-pip /opt/sluice \
 && python -m pip --python /opt/sluice/bin/python install --no-cache-dir --disable-pip-version-check -r /requirements.txt
COPY function/ /opt/sluice/function/
# The user that serves cannot write here, so Python could not keep the bytecode by itself.
RUN python -m compileall -q /opt/sluice/function && install -d -o 10001 -g 10001 /data

FROM ${BASE}
COPY --from=build /opt/sluice/ /opt/sluice/
# For CONVERSATIONS=sqlite:////data/conversations.db on a volume.
COPY --from=build --chown=10001:10001 /data/ /data/
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PORT=8080
WORKDIR /opt/sluice/function
USER 10001:10001
EXPOSE 8080
# Not urllib, which would ask a proxy where one is set.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import http.client, os, sys; \
health = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); \
health.request('GET', '/health'); sys.exit(health.getresponse().status != 200)"]
# Without a shell in between SIGTERM reaches the server, which lets open answers end: within nine seconds.
CMD ["functions-framework", "--source", "main.py", "--target", "chat"]
