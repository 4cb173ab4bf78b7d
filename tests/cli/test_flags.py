"""Flags are read as kubectl's are (pflag's rules): switches, and optional values."""

import click
import pytest
from click.testing import CliRunner

from rollbook import cli
from rollbook.commands import flags
from tests.cli.test_commandline import commands

COMMANDS = list(commands(cli.main))
SWITCHES = [
    (path, command, param)
    for path, command in [*COMMANDS, ("", cli.main)]
    for param in command.params
    if flags.is_switch(param)
]


@click.group(cls=flags.Group)
@click.option("--loud", is_flag=True)
def group(loud: bool) -> None:
    """A group with a switch of its own."""
    click.echo(f"loud {loud}")


@group.command()
@click.argument("words", nargs=-1)
@click.option("-w", "--watch", is_flag=True, envvar="FLAGS_TEST_WATCH")
@click.option("-q", "quiet", is_flag=True)
@click.option("--wait/--no-wait", default=True)
@click.option("--no-headers", is_flag=True)
@click.option("--cause", "-c", default="")
@click.option("--dry-run", default="none", is_flag=False, flag_value="client")
def get(words: tuple[str, ...], **given: object) -> None:
    """A command with a flag of each kind."""
    del given["quiet"]
    click.echo(
        " ".join([*words, *(f"{name}={value}" for name, value in given.items())])
    )


DEFAULTS = {
    "watch": "False", "wait": "True", "no_headers": "False", "cause": "",
    "dry_run": "none",
}  # fmt: skip


def told(line: str, **env: str) -> tuple[dict[str, str], list[str]]:
    """What `get` was given with this command line: its options and its words."""
    result = CliRunner().invoke(group, line.split(), env=env)
    assert result.exit_code == 0, result.output
    said = result.output.splitlines()[1].split(" ")
    options = dict(each.split("=", 1) for each in said if "=" in each)
    return options, [each for each in said if "=" not in each]


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True"])
def test_what_means_true_is_what_means_true_in_go(value: str) -> None:
    """`--watch=true` in each spelling that kubectl takes; also with the short name."""
    for name in ("--watch", "-w"):
        assert told(f"get {name}={value}")[0] == {**DEFAULTS, "watch": "True"}


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "false", "False"])
def test_what_means_false_is_what_means_false_in_go(value: str) -> None:
    """`--wait=false` in each spelling that kubectl takes."""
    assert told(f"get --wait={value}")[0] == {**DEFAULTS, "wait": "False"}


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("get --watch --watch=false", {}),
        ("get -qw --watch=false", {}),
        ("get --watch=false --watch", {"watch": "True"}),
        ("get --wait=false --wait", {}),
        ("get --no-wait --wait=true", {}),
        ("get --no-wait", {"wait": "False"}),
        ("get --watch --no-watch", {}),
        ("get --no-headers=true", {"no_headers": "True"}),
        ("get --no-headers --headers", {}),
        ("get --cause --watch=false", {"cause": "--watch=false"}),
        ("get -c --watch=false", {"cause": "--watch=false"}),
        ("get --dry-run", {"dry_run": "client"}),
        ("get --dry-run=server", {"dry_run": "server"}),
        ("--loud=false get --watch=true", {"watch": "True"}),
    ],
)
def test_of_several_the_last_counts_and_values_are_left_alone(
    line: str, changed: dict[str, str]
) -> None:
    """Order decides between a switch and its opposite; what is a value stays one."""
    assert told(line)[0] == {**DEFAULTS, **changed}


def test_a_value_is_given_behind_an_equals_sign_only() -> None:
    """The word behind a switch, or behind `--dry-run`, is an argument; so is all
    behind `--`."""
    assert told("get --wait false")[1] == ["false"]
    assert told("get --dry-run server")[1] == ["server"]
    assert told("get --watch web -- -w")[1] == ["web", "-w"]


def test_a_switch_that_is_turned_off_wins_over_its_variable() -> None:
    """The command line comes before the environment, for `false` too."""
    assert told("get", FLAGS_TEST_WATCH="1")[0]["watch"] == "True"
    assert told("get --watch=false", FLAGS_TEST_WATCH="1")[0]["watch"] == "False"


def test_a_group_has_switches_too() -> None:
    """An option before the verb is read like one behind it."""
    said = CliRunner().invoke(group, ["--loud=true", "get"]).output

    assert said.startswith("loud True")


def test_another_value_is_refused_with_kubectls_words() -> None:
    """Neither true nor false: wrong usage, and the flag with both its names."""
    result = CliRunner().invoke(group, ["get", "--watch=maybe"])

    assert result.exit_code == 2
    assert (
        'invalid argument "maybe" for "-w, --watch" flag: strconv.ParseBool: parsing '
        '"maybe": invalid syntax'
    ) in result.output


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_every_verb_reads_flags_like_that(path: str, command: click.Command) -> None:
    """No verb was declared with a class of its own, and switches do not collide."""
    assert isinstance(command, flags.Command | flags.Group), path
    names = [name for param in command.params for name in param.opts]
    for param in command.params:
        if flags.is_switch(param):
            assert flags.opposite(param) not in names


@pytest.mark.parametrize(("path", "command", "param"), SWITCHES)
@pytest.mark.parametrize("value", [True, False])
def test_every_switch_takes_a_value(
    path: str, command: click.Command, param: click.Option, value: bool
) -> None:
    """`--NAME=true` and `--NAME=false` of each switch of the command line parse."""
    needed = [
        "1" if isinstance(each, click.Argument) else f"{each.opts[0]}=x"
        for each in command.params
        if each.required
    ]
    for name in param.opts:
        words = [*needed, f"{name}={str(value).lower()}"]
        context = command.make_context(path, words)

        assert param.name is not None
        if param.expose_value:
            assert context.params[param.name] is value
