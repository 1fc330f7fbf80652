"""The observing half alone, against a broker that is somebody else's."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from harness import compose_model, ports, secrets, settings, ways
from harness.commands.common import variable
from harness.errors import BadInputError
from harness.paths import ROOT, run_dir
from harness.stack import Stack
from harness.way import Say

SERVICES = ("celery-exporter", "prometheus", "alertmanager", "inbox", "grafana")
_SCHEMES = ("redis", "rediss", "amqp", "amqps", "pyamqp", "sentinel")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def observed(say: Say) -> Stack:
    """The stack that observes BROKER_URL, with ports of its own where the usual ones are taken. Not started."""
    ways.require_choice(variable("WAY"))
    url, password = split_password(variable("BROKER_URL"))
    project = f"{variable('COMPOSE_PROJECT_NAME', 'celery-stack')}-observe"
    ways.require_name(project)
    folder = run_dir(project) / "secrets"
    overrides = {
        "EXPORTER_BROKER_URL": url,
        "EXPORTER_QUEUES": variable("QUEUES"),
        "EXPORTER_PASSWORD_FILE": "/run/secrets/redis_password" if password else "",
        "SECRETS_DIR": str(folder),
        **_places(project),
    }
    stack = Stack(variable("WAY"), project=project, overrides=overrides, services=SERVICES, say=say)
    if stack.kind != "native" and urlsplit(url).hostname in _LOOPBACK:
        # Inside a container the loopback address is the container's own.
        stack = Stack(
            stack.kind,
            project=project,
            overrides={**overrides, "EXPORTER_BROKER_URL": _from_container(url)},
            services=SERVICES,
            say=say,
        )
    secrets.ensure(folder)
    if password:
        secrets.write(folder / "redis_password", password)
    return stack


def split_password(url: str) -> tuple[str, str]:
    """A broker's URL without its password, and the password. Raises BadInputError, which shows neither."""
    if not url:
        raise BadInputError("BROKER_URL is not set; write: make observe BROKER_URL=redis://host:6379/0")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it raises for a port that is none
    except ValueError:
        raise BadInputError(
            "BROKER_URL is not a URL with a host and a port; write one such as redis://host:6379/0"
        ) from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise BadInputError(
            f"BROKER_URL has the scheme {parts.scheme!r}; write one of {', '.join(_SCHEMES)} and a host, "
            "such as redis://host:6379/0"
        )
    password = unquote(parts.password or "")
    if not password:
        return url, ""
    user, host = parts.netloc.rpartition("@")[0].partition(":")[0], parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host)), password


def _from_container(url: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{at}host.docker.internal{port}"))


def _places(project: str) -> dict[str, str]:
    """Free ports for those of the usual ones that are taken, by the stack itself for one."""
    if (already := Stack.attach(project)) is not None:
        return {name: value for name, value in already.plan.overrides.items() if name.endswith("_PORT")}
    model = compose_model.read(ROOT / "compose.yaml", settings.load())
    usual = ports.published(model.select(only=SERVICES))
    taken = [name for name, port in usual.items() if not ports.is_free(port)]
    return dict(zip(taken, map(str, ports.free_ports(len(taken), usual.values())), strict=True))
