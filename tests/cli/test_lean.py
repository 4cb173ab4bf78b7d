"""The start of a command: what it does not need is not imported."""

import subprocess
import sys
from collections.abc import Sequence

import click
import pytest

from rollbook import cli

PROBE = """
import sys
from rollbook import cli
import click
for verb in sys.argv[1].split():
    assert cli.main.get_command(click.Context(cli.main), verb) is not None
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported(verbs: Sequence[str]) -> set[str]:
    """The packages that a fresh process has imported when it knows these verbs."""
    found = subprocess.run(
        [sys.executable, "-c", PROBE, " ".join(verbs)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


def test_no_verb_waits_for_aiohttp() -> None:
    """nats-py would import it for WebSockets, a third of the start of a command."""
    found = imported(list(cli.VERBS))

    assert {"nats", "msgspec", "domain"} <= found
    assert not {"aiohttp", "multidict", "yarl"} & found


def test_an_examination_does_not_wait_for_what_speaks_with_the_broker() -> None:
    """`rollbook verify` asks the api in the end, if at all."""
    assert not {"nats", "eventsourcing", "gateway"} & imported(["verify"])


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_is_found(verb: str) -> None:
    """Each module that the table names has the verb that it names."""
    found = cli.main.get_command(click.Context(cli.main), verb)

    assert found is not None
    assert found.name == verb


def test_what_serves_http_gets_aiohttp_afterwards() -> None:
    """It is absent within the block alone."""
    code = (
        "from rollbook import lean\n"
        "with lean.imports():\n    import nats.aio.transport as found\n"
        "import aiohttp\nassert found.aiohttp is None and aiohttp.ClientSession"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
