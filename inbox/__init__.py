"""The alert inbox: receives Alertmanager's webhook, keeps it, and shows what fired and what cleared."""
