"""The canary of each queue."""

from __future__ import annotations

from workers.app import app
from workers.instrumentation.canary import add_canary

ping = add_canary(app)
