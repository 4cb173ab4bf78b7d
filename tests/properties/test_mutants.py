"""No check is one that cannot fail: wrong variants of the code are noticed.

All mutants are shown to the scripts here. `make mutants` prints the table, and shows
the state machine what scripts do not see.
"""

from collections import Counter

import pytest

from tests.properties import mutants
from tests.properties.mutants import SCRIPTS
from tests.properties.scripts import Script


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_code_as_it_is_passes_every_script(script: Script) -> None:
    """What mutants fail, the shipped code passes, at every event and at rest."""
    sim = script()

    assert len(sim.log) > 0


def test_every_checker_is_reached_by_a_script() -> None:
    """A property whose guard is never met would not be checked."""
    reached: Counter[str] = Counter()
    for script in SCRIPTS:
        for watcher in script().watchers:
            reached[type(watcher).__name__] += getattr(watcher, "reached", 0)

    assert [name for name, count in reached.items() if not count] == []


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_variant_is_noticed(mutant: mutants.Mutant) -> None:
    """A script or a checker fails, and says in a sentence what does not hold."""
    found = mutants.judge(mutant, examples=0)

    assert found.killer, f"nothing notices: {mutant.name} ({mutant.property})"
    assert found.sentence


def test_a_mutant_leaves_nothing_behind() -> None:
    """After its context the code is what it was."""
    for mutant in mutants.MUTANTS:
        target, name, _ = mutant.change()
        right = vars(target)[name]
        with mutants.applied(mutant):
            assert vars(target)[name] is not right
        assert vars(target)[name] is right
