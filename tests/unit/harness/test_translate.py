"""A container's paths, ports and names as they hold on this machine."""

import pytest

from harness.compose_model import Port, Service
from harness.translate import Translator, neighbours

TRANSLATOR = Translator(
    paths={"/tmp": "/run/x/tmp", "/data": "/v/data", "/etc/prometheus": "/c/prom", "/prometheus": "/v/prom"},
    ports={9090: 29090},
    neighbours={("redis", 6379): 26379, ("worker", 8000): 28000, ("worker-emails", 8000): 28001},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", "/v/data"),
        ("--dir=/data/x", "--dir=/v/data/x"),
        ("/database", "/database"),
        ("/var/data", "/var/data"),
        ("--config.file=/etc/prometheus/prometheus.yml", "--config.file=/c/prom/prometheus.yml"),
        ("--storage.tsdb.path=/prometheus", "--storage.tsdb.path=/v/prom"),
        ("/tmp/metrics", "/run/x/tmp/metrics"),
        ("redis://redis:6379/0", "redis://127.0.0.1:26379/0"),
        ("redis://:pw@redis:6379/0", "redis://:pw@127.0.0.1:26379/0"),
        ("my-redis:6379", "my-redis:6379"),
        ("redis:63790", "redis:63790"),
        ("http://worker:8000/x http://worker-emails:8000", "http://127.0.0.1:28000/x http://127.0.0.1:28001"),
        ("http://127.0.0.1:9090/-/ready", "http://127.0.0.1:29090/-/ready"),
        ("--port 9090", "--port 29090"),
        ("urlopen('http://127.0.0.1:9090/h', timeout=4)", "urlopen('http://127.0.0.1:29090/h', timeout=4)"),
        ("190901", "190901"),
        ("9090.5", "9090.5"),
        ("$(cat /data/pw) | grep x", "$(cat /v/data/pw) | grep x"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert TRANSLATOR.text(text) == expected


def test_a_bare_number_is_a_port_only_where_its_variable_says_so() -> None:
    assert TRANSLATOR.value("PROM_PORT", "9090") == "29090"
    assert TRANSLATOR.value("LIMIT", "9090") == "9090"
    assert TRANSLATOR.value("TARGET", "127.0.0.1:9090") == "127.0.0.1:29090"


def test_nothing_to_translate_changes_nothing() -> None:
    assert Translator({}, {}, {}).text("/data redis:6379 9090") == "/data redis:6379 9090"


def test_neighbours_are_first_copies_and_published_ports_of_those_that_do_not_run() -> None:
    services = {
        "a": Service("a", "", ports=(Port(80, 1080, "A_PORT"), Port(8000))),
        "b": Service("b", "", ports=(Port(80, 2080), Port(8000))),
    }
    assert neighbours(services, {"a": {80: 1080, 8000: 30000}}) == {
        ("a", 80): 1080,
        ("a", 8000): 30000,
        ("b", 80): 2080,
    }
