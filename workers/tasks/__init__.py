"""The tasks of the order pipeline. Importing this package registers all of them."""

from workers.tasks import canary, emails, orders, payments, reports

__all__ = ["canary", "emails", "orders", "payments", "reports"]
