# Built from what requirements.lock pins, by hash; the image has no development tools and no embedded store.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
# Everything locked is fetched and checked here; what bgpledger needs to run is picked from it below.
RUN pip download -q --only-binary :all: --require-hashes -r requirements.lock -d /wheels
COPY pyproject.toml README.md LICENSE ./
COPY bgpledger bgpledger
COPY collector collector
COPY schemas schemas
RUN pip install -q --no-index --find-links /wheels hatchling \
 && pip wheel -q --no-deps --no-build-isolation --no-index -w /wheels . \
 && python -m venv --without-pip /opt/bgpledger \
 && pip --python /opt/bgpledger/bin/python install -q --no-index --find-links /wheels bgpledger

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10179 --home-dir /var/lib/bgpledger --shell /usr/sbin/nologin bgpledger \
 && install -d -o bgpledger -g bgpledger -m 0700 /var/lib/bgpledger
COPY --from=build /opt/bgpledger /opt/bgpledger
COPY conf/collector.toml /etc/bgpledger/collector.toml
ENV PATH=/opt/bgpledger/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BGPLEDGER_DATA_DIR=/var/lib/bgpledger
USER bgpledger
VOLUME /var/lib/bgpledger
EXPOSE 1790 8480
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ! flock --shared --nonblock "$BGPLEDGER_DATA_DIR/run.lock" true
ENTRYPOINT ["bgpledger"]
CMD ["run", "--config", "/etc/bgpledger/collector.toml"]
