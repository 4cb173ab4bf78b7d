"""The style card of CONTRIBUTING.md, executed.

1. A rule is a function from text to complaints. It is tested twice: on a planted
   violation, which it must find, and on the repository, where it must find nothing.
2. An exception is a row in an allow-list at the top of this file, with its reason. A
   row that is no longer needed fails too.
3. Layers and forbidden imports are not here: import-linter holds them (pyproject.toml).
   Only what it cannot see is: type-only imports, and calls that read a clock.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import conftest

ROOT = Path(__file__).parent.parent

# The floors of the house, from ARCHITECTURE.md: who may name whose types.
FLOORS: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "projections": frozenset({"domain"}),
    "adapters": frozenset({"domain"}),
    "workers": frozenset({"domain", "projections", "adapters"}),
    "gateway": frozenset({"domain", "projections", "adapters"}),
    "kubelet": frozenset({"domain", "adapters"}),
    "rollbook": frozenset(
        {"domain", "projections", "adapters", "workers", "gateway", "kubelet"}
    ),
}
PACKAGES = tuple(FLOORS)
CODE = (*PACKAGES, "tests", "examples", "docs")
PURE = ("domain", "projections")

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500  # exclusive
LINE_LENGTH_MAX_IN_DOCS = 120

# Allow-lists: what is excepted → why. Keys are `path` or `path::name`.
LONG_FUNCTIONS: dict[str, str] = {}
LONG_MODULES: dict[str, str] = {}
UNIMPORTED_MODULES: dict[str, str] = {}
CLOCK_READERS: dict[str, str] = {}

# Started by a person or a tool rather than imported.
ENTRY_POINTS = (
    r"rollbook/cli\.py",  # the console script
    r"tests/(.*/)?(test_\w+|conftest)\.py",  # pytest
    r"tests/properties/mutants\.py",  # make mutants
    r"docs/generate\.py",  # make docs
    r"examples/\w+\.py",  # for a person to read and run
    r"tests/monitoring/webapp\.py",  # the process runtime, in an image of a test
    r"kubelet/images/\w+\.py",  # the process runtime, as the programs of images
)

# Written apart so that this file passes its own rule.
BANNED_WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/")
MACHINE_PATHS_IN_DOCS = (*MACHINE_PATHS, "/tm" + "p/")
IGNORE = "# type: " + "ignore"
NOQA = "# no" + "qa"

SKIPPED_FOLDERS = {"__pycache__", "build", "dist", "node_modules"}
TEXT_SUFFIXES = {
    ".md", ".py", ".toml", ".txt", ".yml", ".yaml", ".json", ".cfg", ".sh", "",
}  # fmt: skip


class Source(NamedTuple):
    """A file as the rules see it: where it is, relative to the root, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree. A file that does not parse fails the rule that asks."""
        return ast.parse(self.text, self.path)


Rule = Callable[[Source], Iterator[str]]


# ── the rules ─────────────────────────────────────────────────────────────────────────


def long_functions(source: Source) -> Iterator[str]:
    """A function fits a screen: 70 lines with its docstring."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        key = f"{source.path}::{node.name}"
        if lines > FUNCTION_LINES_MAX and key not in LONG_FUNCTIONS:
            yield f"{key} has {lines} lines; {FUNCTION_LINES_MAX} are allowed"


def long_modules(source: Source) -> Iterator[str]:
    """A module has fewer than 500 lines."""
    lines = source.text.count("\n") + 1
    if lines >= MODULE_LINES_MAX and source.path not in LONG_MODULES:
        yield f"{source.path} has {lines} lines; split it by what changes together"


def silent_modules(source: Source) -> Iterator[str]:
    """A module opens with a docstring. An empty one has nothing to say."""
    if source.text.strip() and ast.get_docstring(source.tree) is None:
        yield f"{source.path} has no docstring"


def silent_tests(source: Source) -> Iterator[str]:
    """A test's docstring is the promise that it keeps."""
    if not source.path.startswith("tests/"):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_") and ast.get_docstring(node) is None:
            yield f"{source.path}::{node.name} does not state its promise"


def banned_words(source: Source) -> Iterator[str]:
    """What is left to do is in docs/known-limits.md, where users can read it."""
    for number, line in enumerate(source.text.splitlines(), 1):
        for word in BANNED_WORDS:
            if re.search(rf"\b{word}\b", line):
                yield f"{source.path}:{number} says {word}"


def machine_paths(source: Source) -> Iterator[str]:
    """Nothing names a folder that exists on one machine only."""
    in_docs = source.path.endswith(".md")
    for number, line in enumerate(source.text.splitlines(), 1):
        for path in MACHINE_PATHS_IN_DOCS if in_docs else MACHINE_PATHS:
            if re.search(rf"(?<![\w.}}*]){re.escape(path)}", line):
                yield f"{source.path}:{number} names {path}"


def unreasoned_exceptions(source: Source) -> Iterator[str]:
    """A silenced checker says which rule and, after two spaces and a #, why."""
    silencer = re.compile(r"#\s*(type:\s*ignore|noqa)\b(?P<rest>.*)", re.IGNORECASE)
    reasoned = re.compile(r"\s*(\[[a-z-, ]+\]|:\s?[A-Z]+[0-9]+(,\s?[A-Z]+[0-9]+)*)\s+#")
    for number, comment in _comments(source.text):
        match = silencer.match(comment)
        if match and not reasoned.match(match["rest"]):
            yield f"{source.path}:{number} needs a code and a reason: {comment}"


def relative_imports(source: Source) -> Iterator[str]:
    """Path, import and name in the editor are one: imports are absolute."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{source.path}:{node.lineno} imports relatively"


def clock_reads(source: Source) -> Iterator[str]:
    """The core is told the time, its ids and its dice; it never asks for them."""
    if _package(source.path) not in PURE or source.path in CLOCK_READERS:
        return
    asking = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid6", "uuid7"}
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in asking
        ):
            yield f"{source.path}:{node.lineno} calls {ast.unparse(node.func)}()"


def type_only_climbs(source: Source) -> Iterator[str]:
    """`if TYPE_CHECKING:` is no staircase: types come from the floors below too."""
    package = _package(source.path)
    if package not in FLOORS:
        return
    allowed = FLOORS[package] | {package}
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        for name, line in _imports(ast.Module(node.body, [])):
            top = name.partition(".")[0]
            if top in FLOORS and top not in allowed:
                yield f"{source.path}:{line} names types of {top}"


def long_lines(source: Source) -> Iterator[str]:
    """Prose is read in a terminal too. Tables, links and code blocks may be wide."""
    if not source.path.endswith(".md"):
        return
    fenced = False
    for number, line in enumerate(source.text.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        exempt = fenced or line.lstrip().startswith("|") or "](" in line
        if len(line) > LINE_LENGTH_MAX_IN_DOCS and not exempt:
            yield f"{source.path}:{number} is {len(line)} characters long"


def dead_modules(sources: Iterable[Source]) -> Iterator[str]:
    """A module that nobody imports and nobody starts is dead.

    A string constant that is exactly a module's name counts as an import: the command
    line names its verbs' modules like that, to import them when they are called.
    """
    modules = {_module(each.path): each for each in sources if _is_python(each)}
    wanted: set[str] = set()
    for name, source in modules.items():
        named = {imported for imported, _ in _imports(source.tree)}
        named |= {
            node.value
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        wanted |= named - {name}
    for name, source in sorted(modules.items()):
        if source.path.endswith("__init__.py") or source.path in UNIMPORTED_MODULES:
            continue
        if any(re.fullmatch(pattern, source.path) for pattern in ENTRY_POINTS):
            continue
        if name not in wanted:
            yield f"{source.path} is imported by nobody"


PYTHON_RULES: tuple[Rule, ...] = (
    long_functions,
    long_modules,
    silent_modules,
    silent_tests,
    unreasoned_exceptions,
    relative_imports,
    clock_reads,
    type_only_climbs,
)
TEXT_RULES: tuple[Rule, ...] = (banned_words, machine_paths, long_lines)


# ── the repository keeps the rules ────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_is_tidy(rule: Rule) -> None:
    """Every Python file keeps every rule for Python files."""
    complaints = [
        complaint
        for source in _repository()
        if _is_python(source)
        for complaint in rule(source)
    ]

    assert not complaints, "\n".join(["", *complaints])


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda rule: rule.__name__)
def test_text_is_tidy(rule: Rule) -> None:
    """Every text file keeps every rule for text files."""
    complaints = [complaint for source in _repository() for complaint in rule(source)]

    assert not complaints, "\n".join(["", *complaints])


def test_no_module_is_dead() -> None:
    """Every module is imported by another one or started by somebody."""
    complaints = list(dead_modules(_repository()))

    assert not complaints, "\n".join(["", *complaints])


def test_no_exception_outlives_its_need() -> None:
    """Every row of an allow-list excepts something that exists, and gives a reason."""
    sources = {source.path: source for source in _repository()}
    for rows in (LONG_FUNCTIONS, LONG_MODULES, UNIMPORTED_MODULES, CLOCK_READERS):
        for key, reason in rows.items():
            path, _, name = key.partition("::")

            assert path in sources, f"{key}: there is no such file"
            assert f"def {name}" in sources[path].text or not name, f"{key}: no such"
            assert reason, f"{key} is excepted without a reason"


def test_the_repository_is_looked_at() -> None:
    """The rules see this file, the package files and the documents, and no caches."""
    paths = {source.path for source in _repository()}

    assert {"tests/test_tidy.py", "README.md", "pyproject.toml", "Makefile"} <= paths
    assert all(f"{package}/__init__.py" in paths for package in PACKAGES)
    assert not any(".venv" in path or "__pycache__" in path for path in paths)


# ── and each rule can fail ────────────────────────────────────────────────────────────

LONG_BODY = "    pass\n"
PLANTS: tuple[tuple[Rule, str, str], ...] = (
    (long_functions, "domain/a.py", "def f():\n" + LONG_BODY * FUNCTION_LINES_MAX),
    (
        long_functions,
        "domain/a.py",
        "async def f():\n" + LONG_BODY * FUNCTION_LINES_MAX,
    ),
    (long_modules, "domain/a.py", "\n" * MODULE_LINES_MAX),
    (silent_modules, "domain/a.py", "x = 1\n"),
    (silent_tests, "tests/test_a.py", "def test_a():\n    pass\n"),
    (silent_tests, "tests/test_a.py", "class T:\n    async def test_a(self): ...\n"),
    (banned_words, "docs/a.md", f"{BANNED_WORDS[0]}: more\n"),
    (banned_words, "domain/a.py", f"x = 1  # {BANNED_WORDS[2]} why\n"),
    (machine_paths, "docs/a.md", f"see {MACHINE_PATHS[0]}main\n"),
    (machine_paths, "docs/a.md", f"in {MACHINE_PATHS_IN_DOCS[-1]}x\n"),
    (machine_paths, "domain/a.py", f'"{MACHINE_PATHS[1]}x"\n'),
    (unreasoned_exceptions, "domain/a.py", f"x = 1  {IGNORE}\n"),
    (unreasoned_exceptions, "domain/a.py", f"x = 1  {IGNORE}[arg-type]\n"),
    (unreasoned_exceptions, "domain/a.py", f"x = 1  {NOQA}\n"),
    (unreasoned_exceptions, "domain/a.py", f"x = 1  {NOQA}: E501\n"),
    (unreasoned_exceptions, "domain/a.py", f"x = 1  {NOQA} # because\n"),
    (relative_imports, "domain/a.py", "from .plans import rollout\n"),
    (relative_imports, "domain/plans/a.py", "from . import rollout\n"),
    (clock_reads, "domain/a.py", "datetime.now()\n"),
    (clock_reads, "projections/a.py", "x = datetime.datetime.utcnow()\n"),
    (clock_reads, "domain/plans/a.py", "uuid.uuid4()\n"),
    (
        type_only_climbs,
        "domain/a.py",
        "if TYPE_CHECKING:\n    from projections import actual\n",
    ),
    (
        type_only_climbs,
        "kubelet/a.py",
        "if typing.TYPE_CHECKING:\n    import workers.step\n",
    ),
    (long_lines, "docs/a.md", "word " * LINE_LENGTH_MAX_IN_DOCS),
)


@pytest.mark.parametrize(("rule", "path", "text"), PLANTS)
def test_each_rule_finds_a_planted_violation(rule: Rule, path: str, text: str) -> None:
    """No rule is one that cannot fail."""
    assert list(rule(Source(path, text)))


def test_every_rule_has_a_plant() -> None:
    """A rule that is added is shown to be able to fail."""
    assert {rule for rule, _, _ in PLANTS} == {*PYTHON_RULES, *TEXT_RULES}


CLEAN: tuple[tuple[Rule, str, str], ...] = (
    (long_functions, "a.py", "def f():\n" + LONG_BODY * (FUNCTION_LINES_MAX - 1)),
    (long_modules, "a.py", "\n" * (MODULE_LINES_MAX - 2)),
    (silent_modules, "domain/__init__.py", ""),
    (silent_tests, "domain/a.py", "def test_a():\n    pass\n"),
    (machine_paths, "docs/a.md", f"examples{MACHINE_PATHS[0]}x\n"),
    (unreasoned_exceptions, "a.py", f"x = 1  {NOQA}: E501  # a table\n"),
    (unreasoned_exceptions, "a.py", f"x = 1  {IGNORE}[arg-type]  # stub\n"),
    (clock_reads, "adapters/clock.py", "datetime.now()\n"),
    (type_only_climbs, "workers/a.py", "if TYPE_CHECKING:\n    import adapters\n"),
    (long_lines, "docs/a.md", "```\n" + "word " * LINE_LENGTH_MAX_IN_DOCS + "\n```\n"),
)


@pytest.mark.parametrize(("rule", "path", "text"), CLEAN)
def test_each_rule_lets_good_text_pass(rule: Rule, path: str, text: str) -> None:
    """A rule complains about its own subject only."""
    assert not list(rule(Source(path, text)))


def test_a_dead_module_is_found_and_a_lazy_one_is_not() -> None:
    """Both forms of import keep a module alive, a string with its name too."""
    sources = [
        Source("domain/used.py", ""),
        Source("domain/lazy.py", ""),
        Source("domain/dead.py", ""),
        Source("domain/plain.py", ""),
        Source(
            "rollbook/cli.py",
            "from domain import used\n"
            "import domain.plain as plain\n"
            'VERBS = {"get": "domain.lazy"}\n',
        ),
    ]

    assert list(dead_modules(sources)) == ["domain/dead.py is imported by nobody"]


def test_settings_are_scrubbed() -> None:
    """What tests/conftest.py takes out of the environment is ours and no more."""
    environment = {"ROLLBOOK_DATA": "x", "PATH": "y", "MY_ROLLBOOK_": "z"}

    assert conftest.scrub(environment) == {"PATH": "y", "MY_ROLLBOOK_": "z"}


# ── reading ───────────────────────────────────────────────────────────────────────────


def _repository() -> list[Source]:
    """Every text file of the project, without what git ignores."""
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
        for path in sorted(_files(ROOT))
        if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE"
    ]


def _files(folder: Path) -> Iterator[Path]:
    """Walk without entering what is installed, built or cached."""
    for path in folder.iterdir():
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if not hidden and path.name not in SKIPPED_FOLDERS:
                yield from _files(path)
        elif path.is_file():
            yield path


def _is_python(source: Source) -> bool:
    return source.path.endswith(".py")


def _package(path: str) -> str:
    """The top folder of a path; empty for a file in the root."""
    return path.partition("/")[0] if "/" in path else ""


def _module(path: str) -> str:
    """The dotted name under which a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each name that is imported, with its line; `from a import b` names a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Each comment with its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
