"""`python -m inbox`: serve the inbox until a signal ends it."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

import uvicorn

from inbox.app import create_app
from inbox.settings import SettingError, from_environment
from inbox.store import StoreError

# Open connections, idle ones among them, beyond which uvicorn answers 503.
MAX_CONNECTIONS = 500


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main() -> int:
    """Serve; returns the exit status (2: a bad setting or an unusable database)."""
    try:
        settings = from_environment(os.environ)
        app = create_app(settings)
    except (SettingError, StoreError) as error:
        fix = "" if isinstance(error, SettingError) else "; set INBOX_DB to a file that can be written"
        print(f"inbox: {error}{fix}", file=sys.stderr)
        return 2
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Json() if settings.log_format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_config=None,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
    except KeyboardInterrupt:
        pass
    except SystemExit as stop:  # uvicorn has logged why, such as a port in use
        return 2 if stop.code else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
