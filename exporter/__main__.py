"""``python -m exporter`` is the same as ``celery-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    main()
