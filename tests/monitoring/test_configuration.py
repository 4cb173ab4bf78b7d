"""The monitor's file: what it may say, and what is said of a mistake."""

from pathlib import Path

import pytest

from domain.errors import Permanent
from gateway.monitoring import configuration
from gateway.monitoring.configuration import Command, Metric, Scraped

YAML = """
prometheus: http://127.0.0.1:9090
metrics:
- name: queue_length
  query: sum(queue)
- {name: load, query: load, type: pods, podLabel: pod_name, namespace: shop}
scrape:
  interval: 10s
  metrics:
  - {name: http_requests_per_second, series: http_requests_total, rate: true}
commands:
  smoke: {argv: [/bin/smoke], timeout: 20s}
"""
TOML = """
prometheus = "http://127.0.0.1:9090"
[[metrics]]
name = "queue_length"
query = "sum(queue)"
"""


def written(folder: Path, text: str, name: str = "monitor.yaml") -> Path:
    """A file of this text."""
    path = folder / name
    path.write_text(text)
    return path


def test_everything_is_read(tmp_path: Path) -> None:
    """Each part of the file comes out as it was written, with its defaults."""
    found = configuration.load(written(tmp_path, YAML))

    assert found.metrics[0] == Metric(name="queue_length", query="sum(queue)")
    assert found.metrics[0].seconds == 30
    assert (found.metrics[1].pod_label, found.metrics[1].type) == ("pod_name", "pods")
    assert found.scrape.metrics == (
        Scraped(
            name="http_requests_per_second", series="http_requests_total", rate=True
        ),
    )
    assert found.scrape.seconds == 10
    assert found.commands == {"smoke": Command(argv=("/bin/smoke",), timeout="20s")}
    assert found.commands["smoke"].seconds == 20


def test_toml_is_known_by_its_name(tmp_path: Path) -> None:
    """Another language, the same words."""
    found = configuration.load(written(tmp_path, TOML, "monitor.toml"))

    assert found.metrics == (Metric(name="queue_length", query="sum(queue)"),)


def test_no_file_is_no_mistake() -> None:
    """The monitor works with what it is asked; a URL on the command line counts."""
    assert configuration.load(None).prometheus == ""
    assert configuration.load(None, "http://a").prometheus == "http://a"


def test_the_command_line_wins(tmp_path: Path) -> None:
    """`--prometheus` takes the place of what the file says."""
    assert (
        configuration.load(written(tmp_path, YAML), "http://a").prometheus == "http://a"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prometeus: http://a", "prometeus"),
        ("[]", "monitor's file"),
        ("{", "monitor's file"),
        ("prometheus: localhost:9090", "prometheus: 'localhost:9090' is no URL"),
        ("metrics: [{name: a, query: b}]", "metrics: they need prometheus"),
        (YAML.replace("sum(queue)", '""'), r"metrics\[0\].query"),
        (YAML.replace("queue_length", "queue length"), r"metrics\[0\].name"),
        (YAML.replace("type: pods", "type: object"), r"metrics\[1\].object"),
        (YAML.replace("type: pods", "type: nodes"), "nodes"),
        (YAML.replace("interval: 10s", "interval: 10m"), "scrape.interval"),
        (YAML.replace("name: load", "name: load, interval: 5m"), "interval"),
        (YAML.replace("[/bin/smoke]", "[]"), "commands.smoke.argv"),
        (YAML.replace("timeout: 20s", "timeout: soon"), "commands.smoke.timeout"),
        (YAML.replace("rate: true", "rate: often"), "rate"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The message has the file and the field: nothing is silently without effect."""
    path = written(tmp_path, text)

    with pytest.raises(Permanent, match=said) as raised:
        configuration.load(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(Permanent, match=r"gone\.yaml"):
        configuration.load(tmp_path / "gone.yaml")
