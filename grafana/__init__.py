"""Grafana's provisioning, and the Python that writes the dashboards: `python -m grafana.build`."""
