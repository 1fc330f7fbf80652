"""The sample Celery application, and the instrumentation that any Celery application can import."""
