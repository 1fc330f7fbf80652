# The image of every part that this project writes in Python. PART names the part, and with it the lock
# file requirements/<PART>.txt: exporter, workers (also beat and the gateway), inbox, loadgen, flower.
# Any builder that can do multi-stage builds reads this file: it needs no BuildKit.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS packages
ARG PART
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
# The authorities of a network that intercepts TLS; usually there are none (certs/README.md).
COPY certs/ /usr/local/share/ca-certificates/
RUN update-ca-certificates > /dev/null 2>&1
COPY requirements/${PART}.txt /tmp/requirements.txt
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python3 --no-cache-dir --disable-pip-version-check \
        install --no-deps --require-hashes --requirement /tmp/requirements.txt

FROM ${PYTHON_IMAGE} AS application
ARG PART
COPY exporter/ /all/exporter/
COPY inbox/ /all/inbox/
COPY loadgen/ /all/loadgen/
COPY workers/ /all/workers/
RUN case "$PART" in \
        loadgen) folders="loadgen workers" ;; \
        flower) folders="workers" ;; \
        exporter|inbox|workers) folders="$PART" ;; \
        *) echo "PART=$PART is no part of this project: exporter, workers, inbox, loadgen or flower" >&2; exit 2 ;; \
    esac \
    && mkdir /app && cd /all && cp -R $folders /app/ \
    && python3 -m compileall -q /app

FROM ${PYTHON_IMAGE}
ARG PART
LABEL org.opencontainers.image.title="celery-observability/${PART}" \
      org.opencontainers.image.licenses="Apache-2.0"
# /data is where a part that keeps something has its volume.
RUN mkdir /data && chown 10001:10001 /data
COPY images/start.sh /usr/local/bin/start
COPY --from=packages /opt/venv /opt/venv
COPY --from=application /app /app
ENV PART=${PART} \
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
CMD ["start"]
