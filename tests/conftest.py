"""What every test run starts from: a clean environment and a repeatable seed.

1. No setting of the person who runs the tests reaches a test: variables that start
   with `ROLLBOOK_` are removed before anything of ours is imported.
2. Property tests draw new examples in every run. In CI the seed of the whole run is
   drawn here and printed when something failed, so that the run can be repeated;
   at a desk Hypothesis keeps failing examples in its own database instead.
3. Nothing else lives here. Fixtures stand beside the tests that use them.
"""

import os
import secrets

import pytest
from hypothesis import HealthCheck, settings

SEED_BITS = 32


def scrub(environment: dict[str, str]) -> dict[str, str]:
    """`environment` without the settings of Rollbook."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("ROLLBOOK_")
    }


for _name in os.environ.keys() - scrub(dict(os.environ)).keys():
    del os.environ[_name]

# Two cores are shared by servers and workers: a slow example says nothing about us.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    settings.get_profile("dev"),
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """In CI, all workers of one run share one seed that is drawn here.

    xdist hands the options to its workers, so a worker finds the seed already there.
    """
    if os.environ.get("CI") and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbits(SEED_BITS))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how to repeat a run that failed."""
    seed = config.getoption("hypothesis_seed", None)
    if seed is not None and terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"to repeat: pytest --hypothesis-seed={seed}")
