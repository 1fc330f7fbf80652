"""Settings, faults and bucket files: what is taken, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers import faults
from workers.faults import Fault, Faults
from workers.instrumentation import buckets
from workers.instrumentation.server import port
from workers.settings import Settings, SettingsError, redact
from workers.telemetry.configuration import Configuration


class Hash:
    """As much of a Redis client as faults need."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.reads = 0
        self.broken = False

    def hset(self, name: str, key: str, value: str) -> None:
        self.fields[key] = value

    def hdel(self, name: str, *keys: str) -> None:
        for key in keys:
            self.fields.pop(key, None)

    def hgetall(self, name: str) -> dict[str, str]:
        self.reads += 1
        if self.broken:
            raise ConnectionError
        return dict(self.fields)

    def delete(self, *names: str) -> None:
        self.fields.clear()


def test_the_password_comes_from_its_file_into_both_addresses(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/word\n")
    settings = Settings.from_environment(
        {"BROKER_URL": "redis://redis:6379/0", "BROKER_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert settings.broker_url == "redis://:p%40ss%2Fword@redis:6379/0"
    assert ":p%40ss%2Fword@" in settings.result_backend_url
    assert redact(settings.broker_url) == "redis://:***@redis:6379/0"


def test_a_password_in_the_address_stays(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("other")
    settings = Settings.from_environment(
        {"BROKER_URL": "amqp://me:mine@rabbit/vhost", "BROKER_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert settings.broker_url == "amqp://me:mine@rabbit/vhost"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", "http://redis"),
        ("BROKER_URL", "redis://:secret@"),
        ("RESULT_EXPIRES_SECONDS", "soon"),
        ("PAYMENT_BUSY_RATE", "1.5"),
        ("VISIBILITY_TIMEOUT_SECONDS", "nan"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_environment({name: value})
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_empty_password_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        Settings.from_environment({"BROKER_PASSWORD_FILE": str(tmp_path / "password")})


def test_the_narrowest_fault_applies() -> None:
    redis = Hash()
    for rate, scope in enumerate(("all", "queue:payments", "task:payments.charge")):
        faults.set_fault(redis, scope, Fault(latency_seconds=rate + 1))
    seen = Faults(redis)
    assert seen.current("payments.charge", "payments") == Fault(latency_seconds=3)
    assert seen.current("payments.other", "payments") == Fault(latency_seconds=2)
    assert seen.current("other", "default") == Fault(latency_seconds=1)
    assert redis.reads == 1, "read once a second, not once a task"


def test_a_broker_that_cannot_be_asked_changes_no_fault() -> None:
    redis = Hash()
    faults.set_fault(redis, "all", Fault(hang=True))
    seen = Faults(redis)
    assert seen.current("a", "b")
    redis.broken = True
    seen._read_at -= 10
    assert seen.current("a", "b")
    assert redis.reads == 2


def test_what_is_no_fault_is_left_out() -> None:
    redis = Hash()
    redis.fields = {"all": "{", "task:a": '{"fail_rate": 7}', "task:b": '{"fail_rate": 0.5, "new_field": 1}'}
    assert faults.read(redis) == {"task:b": Fault(fail_rate=0.5)}


@pytest.mark.parametrize("scope", ["", "task:", "host:a", "everything"])
def test_a_scope_that_there_is_not_is_refused(scope: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        faults.set_fault(Hash(), scope, Fault())


@pytest.mark.parametrize(
    "fault",
    [{"fail_rate": 2}, {"retry_rate": -1}, {"latency_seconds": -1}, {"exception": "os.system"}, {"exception": "int"}],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(fault))):
        Fault(**fault)


def test_bounds_of_one_queue_leave_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("[exec]\nvideos = [60, 600]\n")
    tables = buckets.load(tmp_path / "b.toml")
    assert buckets.of(tables["exec"], "videos") == (60, 600)
    assert buckets.of(tables["exec"], "unheard of") == buckets.load()["exec"]["default"]
    assert tables["wait"] == buckets.load()["wait"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[exec]\ndefault = [1, 1]", "rising"),
        ("[exec]\ndefault = []", "rising"),
        ("[exec]\ndefault = ['a']", "rising"),
        ("[exec]\ndefault = [0, 1]", "rising"),
        ("[wrong]\ndefault = [1]", "not known"),
        ("exec = 1", "not known"),
        ("[exec", "not TOML"),
    ],
)
def test_a_bucket_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        buckets.load(tmp_path / "b.toml")


def test_the_port_can_be_left_out_or_switched_off() -> None:
    assert port({}) == 8000
    assert port({"METRICS_PORT": "off"}) is None
    with pytest.raises(SettingsError, match="METRICS_PORT"):
        port({"METRICS_PORT": "70000"})


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        ({}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, True, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True, False),
    ],
)
def test_telemetry_is_on_where_there_is_an_endpoint(environ: dict[str, str], traces: bool, metrics: bool) -> None:
    configuration = Configuration.from_environment(environ, None)
    assert (configuration.traces, configuration.metrics, configuration.on) == (traces, metrics, traces or metrics)


def test_a_kind_of_link_that_there_is_not_is_refused() -> None:
    assert Configuration.from_environment({"CELERY_TRACE_LINKS": "eta,chain"}, None).links == {"eta", "chain"}
    with pytest.raises(SettingsError, match="CELERY_TRACE_LINKS"):
        Configuration.from_environment({"CELERY_TRACE_LINKS": "parents"}, None)
