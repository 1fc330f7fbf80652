"""Every way to a Redis, and every way to lose it: the exporter stays, says so, and counts again."""

from __future__ import annotations

import json
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from shopfleet import LONG, QUICK, is_up, shop_worker

from exporter.config import with_password
from harness.binaries import find
from harness.child import Child, running
from harness.ports import free_ports
from harness.private_exporter import PrivateExporter, private_exporter
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import until

pytestmark = [pytest.mark.redis]

TLS = Path(__file__).parent / "tls"
SECRET = "s3cret/p@ss word"


def publish(client: redis.Redis, event: dict[str, Any], topic: str = "/0.celeryev/task.sent") -> None:
    """Publish one event as a client does."""
    full = {"hostname": "gen1@client", "utcoffset": 0, "pid": 1, "clock": 1, "timestamp": 1.0, **event}
    message = {
        "body": b64encode(json.dumps(full).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": full["hostname"]},
        "properties": {"delivery_mode": 1, "body_encoding": "base64", "delivery_tag": os.urandom(8).hex()},
    }
    client.publish(topic, json.dumps(message))


def counts_again(exporter: PrivateExporter, client: redis.Redis, name: str) -> None:
    """Publish until one of the events is counted."""

    def counted() -> bool:
        try:
            publish(client, {"type": "task-sent", "uuid": os.urandom(8).hex(), "name": name, "queue": "q"})
        except redis.RedisError:
            return False
        return exporter.total("celery_task_sent_total", name=name) > 0

    until(counted, f"{name} to be counted", LONG)


def log_of(exporter: PrivateExporter) -> str:
    return exporter.child.log.read_text()


@contextmanager
def _exporter(url: str, folder: Path, options: Sequence[str] = ()) -> Iterator[PrivateExporter]:
    with private_exporter(url, folder, (*QUICK, *options)) as exporter:
        until(lambda: exporter.total("celery_broker_up") == 1, "the queues to be read", LONG)
        yield exporter


def test_a_unix_socket_and_a_password_in_a_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with ExitStack() as stack:
        # The path of a socket must be short.
        folder = Path(stack.enter_context(TemporaryDirectory(dir="/tmp")))
        settings = {"unixsocket": str(folder / "r.sock"), "requirepass": SECRET}
        tool = find("redis-server")
        options = {"port": "0", "dir": str(folder), "save": "", **settings}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        stack.enter_context(running(tool.command(*words), log=folder / "redis.log", env={**os.environ, **tool.env}))
        client = redis.Redis(unix_socket_path=settings["unixsocket"], password=SECRET, db=2)
        stack.callback(client.close)

        def ready() -> bool:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

        until(ready, "the Redis to answer", LONG)
        url = f"redis+socket://{settings['unixsocket']}?virtual_host=2"
        exporter = stack.enter_context(_exporter(url, tmp_path, (f"--broker-password-file={password}",)))
        publish(client, {"type": "task-sent", "uuid": "u", "name": "a", "queue": "q"}, "/2.celeryev/task.sent")
        until(lambda: exporter.total("celery_task_sent_total", name="a") == 1, "the event", LONG)
        stack.enter_context(shop_worker(with_password(url, SECRET), tmp_path, pool=("--pool=solo",)))
        until(is_up(exporter), "the worker to answer", LONG)
        assert SECRET not in log_of(exporter)


def test_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    certificate, key = TLS / "certificate.pem", TLS / "key.pem"
    settings = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
    }
    with ExitStack() as stack:
        server = stack.enter_context(private_redis(tmp_path / "redis", settings))
        client = stack.enter_context(server.client())
        options = (f"--broker-ssl-option=ssl_ca_certs={certificate}",)
        exporter = stack.enter_context(_exporter(f"rediss://127.0.0.1:{port}/0", tmp_path, options))
        counts_again(exporter, client, "over_tls")
        # Workers are asked over kombu, which has to get through as well.
        stack.enter_context(shop_worker(server.url, tmp_path, pool=("--pool=solo",)))
        until(is_up(exporter), "the worker to answer", LONG)


def test_a_wrong_password_is_said_once_and_hidden(redis_server: PrivateRedis, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with redis_server.client() as client:
        client.config_set("requirepass", "the-right-one")
    url = redis_server.url.replace("redis://", "redis://:the-wrong-one@")
    command = [sys.executable, "-m", "exporter", f"--broker-url={url}", "--host=127.0.0.1", f"--port={port}"]
    with running([*command, *QUICK], log=tmp_path / "exporter.log") as child:
        exporter = PrivateExporter(child, port)
        until(lambda: exporter.total("celery_broker_up") == 0, "the page", LONG)
        until(lambda: "no events" in log_of(exporter) and "cannot be read" in log_of(exporter), "the news", LONG)
        said = log_of(exporter)
        assert child.running
    assert "the-wrong-one" not in said
    assert said.count("no events") == 1
    assert "Traceback" not in said


def test_a_broker_that_restarts_is_found_again(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with _exporter(redis_server.url, tmp_path, ("-Q", "q")) as exporter:
        assert exporter.total("celery_exporter_event_stream_connects_total") == 1
        redis_server.kill()
        until(lambda: exporter.total("celery_broker_up") == 0, "the broker to be seen down", LONG)
        names = {name for name, _ in exporter.series()}
        assert not [name for name in names if name.startswith(("celery_queue_", "celery_active_"))]
        assert "celery_exporter_queues_read_timestamp_seconds" in names
        redis_server.start()
        with redis_server.client() as client:
            counts_again(exporter, client, "after_restart")
        until(lambda: exporter.total("celery_broker_up") == 1, "the broker to be seen up", LONG)
        assert exporter.total("celery_exporter_event_stream_connects_total") == 2
        assert "Traceback" not in log_of(exporter)


def test_a_broker_that_answers_nothing_is_down_and_the_page_is_served(
    redis_server: PrivateRedis, tmp_path: Path
) -> None:
    with _exporter(redis_server.url, tmp_path) as exporter:
        assert redis_server.child
        redis_server.child.signal(signal.SIGSTOP)
        try:
            until(lambda: exporter.total("celery_broker_up") == 0, "the broker to be seen down", LONG)
            until(lambda: exporter.total("celery_exporter_event_stream_up") == 0, "the stream to be given up", LONG)
        finally:
            redis_server.child.signal(signal.SIGCONT)
        with redis_server.client() as client:
            counts_again(exporter, client, "after_the_pause")
        until(lambda: exporter.total("celery_broker_up") == 1, "the broker to be seen up", LONG)


def test_a_stream_that_the_broker_cuts_off_is_taken_up_again(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with _exporter(redis_server.url, tmp_path) as exporter, redis_server.client() as client:
        client.client_kill_filter(_type="pubsub")
        until(lambda: exporter.total("celery_exporter_event_stream_connects_total") == 2, "a second stream", LONG)
        counts_again(exporter, client, "after_kill")


def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path / "redis")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "exporter", f"--broker-url={server.url}", "--host=127.0.0.1", f"--port={port}"]
    with running([*command, *QUICK], log=tmp_path / "exporter.log") as child:
        exporter = PrivateExporter(child, port)
        until(lambda: exporter.total("celery_exporter_event_stream_up") == 0, "the page", LONG)
        try:
            server.start()
            until(exporter.listening, "the stream", LONG)
        finally:
            server.kill()


def test_the_master_that_sentinel_names_is_followed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(private_redis(tmp_path / "first"))
        second = stack.enter_context(private_redis(tmp_path / "second", {"replicaof": f"127.0.0.1 {first.port}"}))
        port, _ = stack.enter_context(_sentinel(first.port, tmp_path))
        url = f"sentinel://127.0.0.1:{port}/0"
        options = ("--broker-transport-option=master_name=main",)
        until(lambda: _replicas(port) == 1, "the replica to be known", LONG)
        exporter = stack.enter_context(_exporter(url, tmp_path, options))
        with first.client() as client:
            counts_again(exporter, client, "first_master")
        first.kill()
        with second.client() as client:
            until(lambda: client.info("replication")["role"] == "master", "the failover", LONG)
            counts_again(exporter, client, "second_master")
        until(lambda: exporter.total("celery_broker_up") == 1, "the queues to be read there", LONG)


def _replicas(port: int) -> int:
    with redis.Redis(port=port, protocol=2) as client:
        state = client.sentinel_master("main")
        return int(state["num-slaves"])


@contextmanager
def _sentinel(master: int, folder: Path) -> Iterator[tuple[int, Child]]:
    (port,) = free_ports(1)
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {master} 1\n"
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
    )
    tool = find("redis-server")
    command = tool.command(str(config), "--sentinel")
    with running(command, log=folder / "sentinel.log", env={**os.environ, **tool.env}) as child:
        yield port, child


def test_sigterm_ends_it_well(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with _exporter(redis_server.url, tmp_path) as exporter:
        exporter.child.signal(signal.SIGTERM)
        until(lambda: not exporter.child.running, "the exporter to end", LONG, interval=0.02)
        assert exporter.child.process.returncode == 0


def test_a_port_in_use_is_said_in_one_line(redis_server: PrivateRedis, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "exporter", f"--broker-url={redis_server.url}", "--host=127.0.0.1",
        f"--port={redis_server.port}",
    ]  # fmt: skip
    with running(command, log=tmp_path / "exporter.log") as child:
        until(lambda: not child.running, "the exporter to give up", LONG)
        assert child.process.returncode == 2
        (line,) = child.log.read_text().splitlines()
        assert f"--host/--port: cannot listen on 127.0.0.1:{redis_server.port}" in line


def test_hostile_messages_are_counted_and_dropped(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with _exporter(redis_server.url, tmp_path, ("--max-series=20",)) as exporter, redis_server.client() as client:
        for junk in (b"", b"\xff\xfe", b"{", b'{"body": 1}', b'{"body": "!!!"}', b"[" * 100_000, b"null"):
            client.publish("/0.celeryev/task.sent", junk)
        publish(client, {"type": "task-sent", "uuid": 5, "name": ["x"], "queue": {}})
        publish(client, {"type": "no-such-event"})
        publish(client, {"type": "task-failed", "uuid": "x" * 1_000_000, "exception": "E" * 1_000_000 + "('x')"})
        client.publish(
            "/0.celeryev/task.sent", json.dumps({"body": "gASVBQ==", "content-type": "application/x-python-serialize"})
        )
        client.publish("/0.celeryev/task.sent", b'{"body": "' + b"A" * (9 * 1024 * 1024) + b'"}')
        for number in range(200):
            publish(client, {"type": "task-sent", "uuid": f"{number}", "name": f"n{number}", "queue": f"q{number}"})
            worker = {"hostname": f"w{number}@host", "freq": -1e308, "processed": 10**30}
            publish(client, {"type": "worker-heartbeat", **worker}, "/0.celeryev/worker.heartbeat")
        counted = {"malformed": 8, "unknown_type": 1, "content_type": 1, "too_large": 1}
        for reason, at_least in counted.items():
            until(
                lambda reason=reason, at_least=at_least: (
                    exporter.total("celery_exporter_events_dropped_total", reason=reason) >= at_least
                ),
                f"{at_least} dropped for being {reason}",
                LONG,
            )
        until(lambda: exporter.total("celery_exporter_series_dropped_total", metric="task") >= 180, "the limit", LONG)
        series = exporter.series()
        assert len({dict(has).get("name") for name, has in series if name == "celery_task_sent_total"}) <= 20
        assert len([1 for name, _ in series if name == "celery_worker_up"]) <= 20
        assert len([1 for name, _ in series if name == "celery_queue_length"]) <= 21
        assert max(len(value) for _, has in series for _, value in has) <= 200
        assert exporter.child.running
