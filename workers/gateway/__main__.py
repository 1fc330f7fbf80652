"""Starts the gateway: ``python3 -m workers.gateway``."""

from __future__ import annotations

import logging
import os

# The gateway is one process: prometheus_client must not look for others to share its values with.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

import uvicorn

from workers.app import app
from workers.gateway.pipeline import Pipeline
from workers.gateway.settings import GatewaySettings
from workers.gateway.web import create_app
from workers.json_logs import set_up
from workers.settings import SettingsError, refuse
from workers.telemetry import flush


def main() -> None:
    """Serve until told to stop."""
    handler = logging.StreamHandler()
    try:
        set_up([handler])
        settings = GatewaySettings.from_environment(os.environ)
        web = create_app(settings, Pipeline(app))
    except SettingsError as error:
        refuse(error)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger(__name__).info("the gateway listens on http://%s:%d", settings.host, settings.port)
    try:
        uvicorn.run(web, host=settings.host, port=settings.port, log_config=None, access_log=False)
    finally:
        flush()


if __name__ == "__main__":
    main()
