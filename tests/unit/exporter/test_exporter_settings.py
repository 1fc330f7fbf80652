"""The command line: upstream's options and variables, and one clear line for every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import parse
from exporter.config import SettingError, option_value, with_password
from exporter.content import Converter
from exporter.redact import Redactor
from exporter.redis_link import Layout, RedisLink

URL = "--broker-url=redis://127.0.0.1:6379/0"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CE_")]:
        monkeypatch.delenv(name)


def test_all_options_of_the_exporter_people_have_are_taken() -> None:
    settings = parse(
        [
            URL, "--broker-transport-option=visibility_timeout=18000", "--broker-transport-option=sep=:",
            "--broker-ssl-option=ssl_ca_certs=/ca.pem", "--accept-content=json,pickle", "--retry-interval=5",
            "--host=0.0.0.0", "--port=9999", "--buckets=1,2.5,+Inf", "--queue-wait-buckets=1,60", "--log-level=debug",
            "--worker-timeout=300", "--purge-offline-worker-metrics=0", "--generic-hostname-task-sent-metric",
            "--generic-hostname-worker-task-metric", "-Q", "a,b", "--default-queue-name=main", "--metric-prefix=x_",
            "--static-label=env=prod", "--redbeat-redis-url=redis://x", "--redbeat-key-prefix=y",
        ]
    )  # fmt: skip
    assert settings is not None
    assert settings.transport_options == {"visibility_timeout": 18000, "sep": ":"}
    assert settings.ssl_options == {"ssl_ca_certs": "/ca.pem"}
    assert (settings.buckets, settings.wait_buckets) == ((1, 2.5), (1, 60))
    assert (settings.worker_timeout, settings.purge_offline_worker_metrics, settings.port) == (300, 0, 9999)
    assert (settings.queues, settings.static_labels) == (("a", "b"), {"env": "prod"})


def test_every_option_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CE_BROKER_URL": "rediss://h/3",
        "CE_BROKER_TRANSPORT_OPTION": "global_keyprefix=x: sep=:",
        "CE_TASK_HOSTNAME": "true",
        "CE_QUEUES": "a,b",
        "CE_PORT": "1234",
        "CE_STATIC_LABEL": "a=b c=d",
        "CE_WORKER_TIMEOUT": "7.5",
    }.items():
        monkeypatch.setenv(name, value)
    settings = parse([])
    assert settings is not None
    assert settings.transport_options == {"global_keyprefix": "x:", "sep": ":"}
    assert (settings.task_hostname, settings.queues, settings.port) == (True, ("a", "b"), 1234)
    assert (settings.static_labels, settings.worker_timeout) == ({"a": "b", "c": "d"}, 7.5)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--broker-url"),
        (["--broker-url=nonsense"], "--broker-url"),
        (["--broker-url=ftp://host/0"], "ftp"),
        (["--broker-url=redis://host:port/0"], "port"),
        (["--broker-url=redis://:hunter22@host:99999/0"], "port"),
        (["--broker-url=redis://host/db"], "database"),
        (["--broker-url=sentinel://host:26379"], "master_name"),
        ([URL, "--port=lots"], "--port"),
        ([URL, "--port=70000"], "--port"),
        ([URL, "--buckets=1,a"], "--buckets"),
        ([URL, "--buckets=2,1"], "--buckets"),
        ([URL, "--queue-wait-buckets="], "--queue-wait-buckets"),
        ([URL, "--broker-transport-option=novalue"], "--broker-transport-option"),
        ([URL, "--static-label=le=x"], "--static-label"),
        ([URL, "--static-label=a-b=x"], "--static-label"),
        ([URL, "--metric-prefix=9"], "--metric-prefix"),
        ([URL, "--log-level=LOUD"], "--log-level"),
        ([URL, "--max-series=0"], "--max-series"),
        ([URL, "--queue-interval=0"], "--queue-interval"),
        ([URL, "--inspect-interval=nan"], "--inspect-interval"),
        ([URL, "--broker-password-file=/does/not/exist"], "--broker-password-file"),
        ([URL, "--no-such-option"], "--no-such-option"),
    ],
)
def test_a_mistake_names_the_setting(arguments: list[str], named: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse(arguments)
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    assert "hunter22" not in message


def test_a_mistake_ends_the_program_with_one_line_and_status_2(tmp_path: Path) -> None:
    empty = tmp_path / "password"
    empty.touch()
    done = subprocess.run(
        [sys.executable, "-m", "exporter", URL, f"--broker-password-file={empty}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("celery-exporter: --broker-password-file: ")
    assert done.stdout == ""


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--help"]) is None
    assert "--broker-url" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://:p%40ss%2F@host:6379/0"),
        ("redis://user@host/0", "redis://user:p%40ss%2F@host/0"),
        ("redis://:own@host/0", "redis://:own@host/0"),
        ("amqp://guest@rabbit//", "amqp://guest:p%40ss%2F@rabbit//"),
        (
            "sentinel://a:1;sentinel://b:2",
            "sentinel://:p%40ss%2F@a:1;sentinel://:p%40ss%2F@b:2",
        ),
        ("redis+socket:///run/redis.sock?virtual_host=2", "redis+socket://:p%40ss%2F@/run/redis.sock?virtual_host=2"),
    ],
)
def test_the_password_goes_where_the_url_has_none(url: str, expected: str) -> None:
    assert with_password(url, "p@ss/") == expected


def test_the_redis_link_takes_password_and_database_from_the_url() -> None:
    settings = parse(["--broker-url=rediss://user:p%40ss@host:7000/5", "--broker-ssl-option=ssl_cert_reqs=none"])
    assert settings is not None
    (client,) = RedisLink(settings).clients()
    made = client.connection_pool.connection_kwargs
    assert (made["host"], made["port"], made["db"], made["username"], made["password"]) == (
        "host", 7000, 5, "user", "p@ss",
    )  # fmt: skip
    assert made["ssl_cert_reqs"] == "none"


@pytest.mark.parametrize(
    ("options", "topics", "patterns"),
    [
        ({}, ("/5.",), True),
        ({"fanout_prefix": False}, ("",), True),
        ({"fanout_prefix": "/{db}/own."}, ("/5/own.",), True),
        ({"fanout_patterns": False}, ("/5.",), False),
    ],
)
def test_the_event_channels_follow_the_transport_options(
    options: dict[str, object], topics: tuple[str, ...], patterns: bool
) -> None:
    layout = Layout.of(options, 5)
    assert (layout.topics, layout.patterns) == (topics, patterns)


def test_priority_steps_may_be_a_list_or_text() -> None:
    assert Layout.of({"priority_steps": "9, 3,0"}, 0).steps == (0, 3, 9)
    assert Layout.of({"priority_steps": [5, 0]}, 0).steps == (0, 5)


@pytest.mark.parametrize(
    ("text", "value"), [("18000", 18000), ("True", True), ('{"a": 1}', {"a": 1}), ("/a=b", "/a=b"), ("none", "none")]
)
def test_option_values_are_what_they_look_like(text: str, value: object) -> None:
    assert option_value(text) == value


def test_secrets_are_taken_out_of_any_text() -> None:
    clean = Redactor("s3cret", None, "ab")
    assert clean("WRONGPASS s3cret\nat redis://u:other@h/0 ab") == "WRONGPASS *** at redis://***@h/0 ab"


def test_passwords_in_urls_are_found_wherever_they_are_quoted() -> None:
    clean = Redactor.of_urls("redis://:p%40ssw%2Ford@a/0;redis://u:other-one@b/0", "plain-word", None)
    assert clean("p%40ssw%2Ford p@ssw/ord other-one plain-word") == "*** *** *** ***"


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--broker-transport-option=priority_steps=low,high", "--broker-transport-option"),
        ("--broker-transport-option=visibility_timeout=soon", "--broker-transport-option"),
        ("--broker-ssl-option=ssl_ca_certs=/not/there.pem", "/not/there.pem"),
        ("--broker-ssl-option=ssl_cacerts=/ca.pem", "ssl_cacerts"),
    ],
)
def test_a_mistake_in_what_only_redis_reads_is_named_too(option: str, named: str) -> None:
    settings = parse([URL, option])
    assert settings is not None
    with pytest.raises(SettingError, match=named):
        RedisLink(settings)


def test_other_content_types_are_accepted_only_where_they_are_named() -> None:
    assert Converter(("json",))(b"a: 1", "application/x-yaml", "utf-8") is None
    yaml = Converter(("json", "yaml"))
    assert yaml(b"a: 1", "application/x-yaml", "utf-8") == b'{"a":1}'
    assert yaml(b"gASVBQ==", "application/x-python-serialize", "binary") is None
    with pytest.raises(ValueError, match=r".+"):
        yaml(b"a: [", "application/x-yaml", "utf-8")
