"""Which cluster a person talks to, and that nobody else can read the secret."""

import stat
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from adapters import context
from domain import errors

CONTEXT = context.Context(
    nats_url="nats://127.0.0.1:4222",
    user="admin",
    secret="s3cret",
    store_url="sqlite:////data/rollbook.db",
    api_address="127.0.0.1:8001",
    data_folder="/data",
)


def write(path: Path, user: str) -> Path:
    """A context that is recognised by its user."""
    context.write_context(path, msgspec.structs.replace(CONTEXT, user=user))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A context comes back as it was written."""
    path = tmp_path / "context.toml"
    context.write_context(path, CONTEXT)

    assert context.load_context(str(path), {}) == CONTEXT


@hypothesis.given(
    text=strategies.text(
        strategies.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
    )
)
@hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_every_text_survives(tmp_path: Path, text: str) -> None:
    """Quotes, backslashes, control characters and any script survive the file."""
    path = tmp_path / "context.toml"
    written = msgspec.structs.replace(CONTEXT, secret=text, data_folder=text)
    context.write_context(path, written)

    assert context.load_context(str(path), {}) == written


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file has mode 0600, also when it replaces one that others could read."""
    path = tmp_path / "context.toml"
    path.write_text("")
    path.chmod(0o644)
    context.write_context(path, CONTEXT)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_secret_is_never_shown() -> None:
    """A context in a log line or a traceback does not give the secret away."""
    assert "s3cret" not in repr(CONTEXT)


def test_the_order_of_the_search(tmp_path: Path) -> None:
    """--context, ROLLBOOK_CONTEXT, this folder, the ones above, the home folder."""
    home, above = tmp_path / "home", tmp_path / "work"
    here = above / "deep" / "deeper"
    here.mkdir(parents=True)
    named = write(tmp_path / "named.toml", "named")
    variable = write(tmp_path / "variable.toml", "variable")
    write(home / ".config" / "rollbook" / "context.toml", "home")
    env = {"HOME": str(home)}
    assert context.load_context(None, env, folder=here).user == "home"

    write(above / ".rollbook" / "context.toml", "above")
    assert context.load_context(None, env, folder=here).user == "above"

    write(here / ".rollbook" / "context.toml", "here")
    assert context.load_context(None, env, folder=here).user == "here"

    env["ROLLBOOK_CONTEXT"] = str(variable)
    assert context.load_context(None, env, folder=here).user == "variable"

    assert context.load_context(str(named), env, folder=here).user == "named"


def test_nothing_found_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    """The error names every place that was searched, and the way out."""
    home, here = tmp_path / "home", tmp_path / "here"
    with pytest.raises(errors.Permanent) as caught:
        context.load_context(None, {"HOME": str(home)}, folder=here)

    message = str(caught.value)
    assert str(here / ".rollbook" / "context.toml") in message
    assert str(tmp_path / ".rollbook" / "context.toml") in message
    assert str(home / ".config" / "rollbook" / "context.toml") in message
    assert "rollbook up" in message
    assert "--context" in message


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_named_file_must_be_there(tmp_path: Path, by_variable: bool) -> None:
    """A wrong --context or ROLLBOOK_CONTEXT is an error: another cluster that happens
    to be found must not be taken in its place."""
    write(tmp_path / ".rollbook" / "context.toml", "another")
    missing = str(tmp_path / "missing.toml")
    env = {"ROLLBOOK_CONTEXT": missing} if by_variable else {}
    with pytest.raises(errors.Permanent, match="no such file") as caught:
        context.load_context(None if by_variable else missing, env, folder=tmp_path)

    assert ("ROLLBOOK_CONTEXT" if by_variable else "--context") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nats_url = ", "cannot be used"),
        ('user = "admin"\nsecret = "x"', "nats_url"),
        ('nats_url = 5\nuser = "admin"\nsecret = "x"', "nats_url"),
        ('nats_url = "n"\nuser = "a"\nsecret = "x"\nsecert = "y"', "secert"),
        ('nats_url = "n"\nuser = "a"', "exactly one of"),
        ('nats_url = "n"\nuser = "a"\nsecret = "x"\nsecret_file = "f"', "exactly one"),
        ('nats_url = "n"\nuser = "a"\nsecret_file = "f"', "cannot be read"),
    ],
)
def test_a_damaged_context_says_what_is_wrong(
    tmp_path: Path, text: str, part: str
) -> None:
    """The message names the file and the field."""
    path = tmp_path / "context.toml"
    path.write_text(text)
    with pytest.raises(errors.Permanent, match=part) as caught:
        context.load_context(str(path), {})

    assert str(path) in str(caught.value)


def test_a_secret_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    """`secret_file` is relative to the context's folder; blanks at its end are not
    part of the secret."""
    (tmp_path / "admin.secret").write_text("s3cret\n")
    path = tmp_path / "context.toml"
    context.write_context(
        path,
        msgspec.structs.replace(CONTEXT, secret="", secret_file="admin.secret"),
    )

    assert context.load_context(str(path), {}) == CONTEXT
