ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS packages
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY certs/ /usr/local/share/ca-certificates/
RUN update-ca-certificates > /dev/null 2>&1
COPY tests/bench/exporter/upstream.txt tests/bench/exporter/upstream-exporter.txt /tmp/
# The package says that it wants an older Python and an older redis-py than it works with, hence its own line.
RUN python3 -m venv --without-pip /opt/venv \
    && pip="python3 -m pip --python /opt/venv/bin/python3 --no-cache-dir --disable-pip-version-check" \
    && $pip install --no-deps --require-hashes --requirement /tmp/upstream.txt \
    && $pip install --no-deps --require-hashes --ignore-requires-python --requirement /tmp/upstream-exporter.txt

FROM ${PYTHON_IMAGE}
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1
EXPOSE 9808
USER 10001:10001
ENTRYPOINT ["python3", "-c", "from src.cli import cli; cli(auto_envvar_prefix='CE')"]
