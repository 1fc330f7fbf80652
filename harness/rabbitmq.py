"""A RabbitMQ of a test's own: on free ports of the loopback, with its management API, users and data in one folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import requests

from harness import rabbitmq_tree
from harness.child import Child, start
from harness.ports import free_ports
from harness.wait import until

# Erlang on a busy machine: three seconds when it is idle.
READY_SECONDS = 120
USER = "celery"
VHOST = "/"
# Statistics of the management API are as old as this, at most; production has 5000.
STATISTICS_MILLISECONDS = 500

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
collect_statistics_interval = {statistics}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 10MB
definitions.import_backend = local_filesystem
definitions.local.path = {definitions}
"""
# Four threads would be started for two cores otherwise, and each would spin for work.
_WAIT = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
_MACHINE = ["+S", "2:2", *_WAIT, "+pc", "unicode", "+B", "i", "+W", "w"]


class PrivateRabbitMQ:
    """A RabbitMQ server that can be killed and started again on the same ports; durable things survive that.

    ``password`` belongs to the user ``celery``, who may do everything in the vhost ``/`` and read the management API.
    """

    def __init__(self, folder: Path, *, suite: str | None = None) -> None:
        self.folder = folder
        self.tree = rabbitmq_tree.ensure(suite=suite)
        ports = free_ports(4)
        self.amqp_port, self.management_port, self._epmd_port, self._distribution_port = ports
        self.password = secrets.token_urlsafe(12)
        self.broker: Child | None = None
        self._epmd: Child | None = None

    @property
    def url(self) -> str:
        """The broker's address, with user and password."""
        return f"amqp://{USER}:{quote(self.password)}@127.0.0.1:{self.amqp_port}//"

    @property
    def management_url(self) -> str:
        """The address of the management API, with user and password."""
        return f"http://{USER}:{quote(self.password)}@127.0.0.1:{self.management_port}"

    def api(self, path: str) -> requests.Response:
        """GET from the management API, such as ``queues/%2F``."""
        return requests.get(
            f"http://127.0.0.1:{self.management_port}/api/{path}", auth=(USER, self.password), timeout=30
        )

    def start(self) -> None:
        """Start the server and wait until both ports answer."""
        self._write_configuration()
        environment = self._environment()
        command: list[str | Path]
        if self._epmd is None:
            # Ours and in the foreground, on a port of its own: RabbitMQ would leave one behind for the whole machine.
            command = [self.tree.epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = start(command, log=self.folder / "epmd.log", env=environment)
        command = [
            self.tree.erl, "-noinput", *_MACHINE, "-boot", "start_sasl", "-s", "rabbit", "boot",
            "-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-kernel", "prevent_overlapping_partitions", "false",
            "-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false",
        ]  # fmt: skip
        self.broker = start(command, log=self.folder / "rabbitmq.log", env=environment, cwd=self.folder)
        until(self.answers, f"RabbitMQ on port {self.amqp_port} to answer", READY_SECONDS)

    def answers(self) -> bool:
        """Whether the management API knows the user and the node takes AMQP connections."""
        if self.broker is None or not self.broker.running:
            raise RuntimeError(f"RabbitMQ ended:\n{self.broker.said() if self.broker else 'not started'}")
        return self.api("whoami").ok and self.api(f"health/checks/port-listener/{self.amqp_port}").ok

    def kill(self) -> None:
        """End the server as a crash would; the port mapper stays for the next start."""
        if self.broker:
            self.broker.kill()
            self.broker = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server frozen for the time of a block: its connections stay, and nothing is answered."""
        if self.broker is None:
            raise RuntimeError("RabbitMQ is not running")
        os.killpg(self.broker.pid, signal.SIGSTOP)
        try:
            # Its threads stop one after the other, and any of them could still answer.
            os.waitid(os.P_PID, self.broker.pid, os.WSTOPPED | os.WNOWAIT)
            yield
        finally:
            os.killpg(self.broker.pid, signal.SIGCONT)

    def close(self) -> None:
        """End everything."""
        self.kill()
        if self._epmd:
            self._epmd.kill()
            self._epmd = None

    def _write_configuration(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        definitions = self.folder / "definitions.json"
        definitions.write_text(json.dumps(_definitions(self.password)))
        (self.folder / "rabbitmq.conf").write_text(
            _CONFIGURATION.format(
                amqp=self.amqp_port,
                management=self.management_port,
                statistics=STATISTICS_MILLISECONDS,
                definitions=definitions,
            )
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return {
            **kept,
            "PATH": f"{self.tree.erl.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_LIBS": str(self.tree.home / "plugins"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP_BYTES": "0",
            "RABBITMQ_HOME": str(self.tree.home),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_DIR": str(self.tree.home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
        }


@contextmanager
def private_rabbitmq(folder: Path, *, suite: str | None = None) -> Iterator[PrivateRabbitMQ]:
    """A RabbitMQ for the time of a block."""
    server = PrivateRabbitMQ(folder, suite=suite)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _definitions(password: str) -> dict[str, object]:
    salt = secrets.token_bytes(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "users": [
            {
                "name": USER,
                "password_hash": hashed,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["monitoring"],
            }
        ],
        "vhosts": [{"name": VHOST}],
        "permissions": [{"user": USER, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}],
    }
