"""The command line itself: help, laziness, options of the processes, completion."""

import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from domain import errors
from rollbook import cli, completion, health, settings
from rollbook.options import Containers, KubeletOptions, SetupOptions, Times, UpOptions


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every verb with what is below it; of several names (`cm`) its own."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if command.name != name:
            continue
        whole = f"{path} {name}".strip()
        yield whole, command
        if isinstance(command, click.Group):
            yield from commands(command, whole)


@pytest.mark.parametrize(("path", "command"), list(commands(cli.main)))
def test_every_verb_explains_itself_with_examples(
    path: str, command: click.Command
) -> None:
    """A sentence, at least one example that begins with the verb, help for options."""
    text = command.help or ""

    assert text.split("\n")[0].endswith((".", ":"))
    if not isinstance(command, click.Group):
        assert "Examples:" in text
        assert f"rollbook {path}" in text
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, f"{path} {param.opts[0]} has no help"


def test_help_names_every_verb_once() -> None:
    """The groups of the help are the table of verbs, in another order."""
    listed = [name for names in cli.GROUPS.values() for name in names]

    assert sorted(listed) == sorted(cli.VERBS)


def test_help_imports_nothing_that_is_heavy() -> None:
    """That is why it is fast: no broker, no loop, no tables, no YAML."""
    code = (
        "import sys\n"
        "from rollbook.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'nats', 'asyncio', 'rich', 'yaml', 'aiohttp', 'msgspec'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )

    assert ran.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "words", [["fly", "pod/a"], ["get", "--nonsense"], ["scale", "x", "--replicas=a"]]
)
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    """An unknown verb, an unknown option, a value of a wrong type."""
    assert CliRunner().invoke(cli.main, words).exit_code == 2


def test_a_data_folder_that_is_a_file_is_wrong_usage(tmp_path: Path) -> None:
    """It is said before anything starts."""
    file = tmp_path / "file"
    file.touch()

    ran = CliRunner().invoke(cli.main, ["up", "--data", str(file)])

    assert ran.exit_code == 2
    assert "is a file" in ran.stderr


def test_no_cluster_is_a_sentence(tmp_path: Path) -> None:
    """What to do about it, status 1, no traceback."""
    missing = str(tmp_path / "context.toml")

    ran = CliRunner().invoke(cli.main, ["get", "pods", "--context", missing])

    assert ran.exit_code == 1
    assert ran.stderr.startswith("error: --context names ")
    assert ran.stdout == ""


@pytest.mark.parametrize(("words", "shown"), [([], False), (["--debug"], True)])
def test_a_bug_is_a_sentence_unless_it_is_debugged(
    monkeypatch: pytest.MonkeyPatch, words: list[str], shown: bool
) -> None:
    """`--debug` lets the error through; else it is told, with a hint."""

    def bug(_: object) -> None:
        raise ZeroDivisionError("a bug")

    module = types.ModuleType("rollbook.up")
    monkeypatch.setattr(module, "run", bug, raising=False)
    monkeypatch.setitem(sys.modules, "rollbook.up", module)
    monkeypatch.setattr("rollbook.up", module, raising=False)

    ran = CliRunner().invoke(cli.main, ["up", *words])

    assert isinstance(ran.exception, ZeroDivisionError) is shown
    assert ("ZeroDivisionError: a bug. --debug shows" in ran.stderr) is not shown


# --- the processes


def started(
    monkeypatch: pytest.MonkeyPatch, words: list[str], **variables: str
) -> object:
    """The options with which a process would have been started."""
    seen: list[object] = []
    for name, functions in (
        ("up", ("run",)),
        ("setups", ("setup",)),
        ("processes", ("run_control", "run_api", "run_kubelet")),
    ):
        module = types.ModuleType(f"rollbook.{name}")
        for function in functions:
            setattr(module, function, seen.append)
        monkeypatch.setitem(sys.modules, f"rollbook.{name}", module)
        monkeypatch.setattr(f"rollbook.{name}", module, raising=False)
    ran = CliRunner().invoke(cli.main, words, env=variables)
    assert ran.exit_code == 0, ran.output
    [options] = seen
    return options


def test_up_has_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three nodes, processes, everything embedded, under .rollbook."""
    assert started(monkeypatch, ["up"]) == UpOptions(data=Path(".rollbook"))


def test_an_option_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable over the default, too."""
    options = started(
        monkeypatch,
        ["up", "--nodes", "5", "--heartbeat", "0.5", "--no-restart"],
        ROLLBOOK_NODES="7",
        ROLLBOOK_RUNTIME="hollow",
        ROLLBOOK_NATS_PORT="4333",
    )

    assert options == UpOptions(
        data=Path(".rollbook"),
        nodes=5,
        runtime="hollow",
        nats_port=4333,
        restart=False,
        times=Times(heartbeat=0.5),
    )


def test_hollow_nodes_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many nodes in one kubelet have the hollow runtime."""
    words = ["kubelet", "--node", "h", "--hollow-nodes", "9", "--context", "c.toml"]

    assert started(monkeypatch, words) == KubeletOptions(
        node="h", context="c.toml", runtime="hollow", hollow_nodes=9
    )


def test_what_containers_may_do_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for `up` and `kubelet`; a variable names folders with colons between."""
    words = ["--engine", "unix:///e", "--allow-privileged", "--pod-network", "pods"]
    wanted = Containers(
        engine="unix:///e",
        allow_privileged=True,
        host_paths=(Path("/a"), Path("/b")),
        network="pods",
    )
    for command in (["up"], ["kubelet", "--node", "w"]):
        options = started(
            monkeypatch, [*command, *words], ROLLBOOK_ALLOW_HOST_PATH="/a:/b"
        )
        assert isinstance(options, UpOptions | KubeletOptions)
        assert options.containers == wanted


def test_setup_takes_nodes_and_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the compose file calls it."""
    words = ["setup", "--data=d", "--nats-url=nats://n:4222", "--nodes=a,b"]

    assert started(monkeypatch, [*words, "--user", "x", "--user", "y"]) == SetupOptions(
        data=Path("d"), nats_url="nats://n:4222", nodes=("a", "b"), users=("x", "y")
    )


def test_every_variable_of_an_option_is_listed() -> None:
    """`settings.ENVIRONMENT` is the whole list (its rule 1)."""
    read = {
        param.envvar
        for _, command in commands(cli.main)
        for param in command.params
        if param.envvar
    }

    assert read <= settings.ENVIRONMENT.keys()
    assert all(settings.ENVIRONMENT.values())


@pytest.mark.parametrize("value", ["x", "-1", "0", "inf", "nan"])
def test_a_bad_number_of_seconds_names_its_variable(value: str) -> None:
    """What is wrong, where, what to do."""
    with pytest.raises(errors.Permanent, match=f"ROLLBOOK_TIMEOUT={value} is not"):
        settings.seconds({settings.TIMEOUT: value}, settings.TIMEOUT, 30.0)


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    """It names the program and the variable by which it asks."""
    script = completion.script(cli.main, shell)

    assert "rollbook" in script
    assert "_ROLLBOOK_COMPLETE" in script


@pytest.mark.parametrize(
    ("words", "offered"),
    [("rollbook ro", "rollout"), ("rollbook get dep", "deployments"),
     ("rollbook rollout un", "undo")],
)  # fmt: skip
def test_verbs_and_kinds_are_completed_without_a_cluster(
    tmp_path: Path, words: str, offered: str
) -> None:
    """Names need a cluster; without one there are none, and no words about it."""
    ran = CliRunner().invoke(
        cli.main,
        [],
        prog_name="rollbook",
        env={
            "_ROLLBOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
            "ROLLBOOK_CONTEXT": str(tmp_path / "none.toml"),
        },
    )

    assert offered in ran.stdout
    assert ran.stderr == ""


# --- signs of life


def test_a_process_that_beats_is_well(tmp_path: Path) -> None:
    """Its pulse says how far it is; one that is old, or complains, is not well."""
    health.beat(tmp_path, health.Pulse(process="kubelet/a", at=100.0))
    health.beat(
        tmp_path, health.Pulse(process="api", at=100.0, position=3, committed=5)
    )

    pulse = health.read(tmp_path, "api")

    assert pulse.lag == 2
    assert health.complaint(pulse, 101.0) == ""
    assert "no sign of life" in health.complaint(pulse, 100 + health.STALE_SECONDS + 1)
    assert health.read(tmp_path, "kubelet/a").process == "kubelet/a"
    with pytest.raises(errors.Permanent, match="not running here"):
        health.read(tmp_path, "control")
