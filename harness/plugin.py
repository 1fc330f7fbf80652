"""The pytest plugin: fixtures and assertions over a running stack."""
