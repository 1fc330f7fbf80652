"""The load generator: locust as a producer of Celery tasks, or as a client of the HTTP gateway."""
