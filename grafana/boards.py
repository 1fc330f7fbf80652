"""All dashboards of the stack."""

from __future__ import annotations

from grafana import overview, pipeline, services, tasks

BOARDS = (overview.BOARD, tasks.BOARD, pipeline.BOARD, services.BOARD)
