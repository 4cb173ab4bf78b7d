"""What the seventh edition of a plan adds: active checks that availability counts on.

Half of the plans get nothing of it. What must meet to come to something is drawn
together, as an episode, and happens in one go.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from tests.simulation.workload_measured import Drawn, Episode

ASKED: Final = (
    "{port: 80, interval: 5s}",
    "{port: 80, path: /healthz, interval: 30s, failureThreshold: 1}",
)
REFUSED: Final = "{port: 0}"
MONITORS: Final = ("good", "bad", "some", "flapping", "dead", "wrong")


def drawn(dice: Random, names: Sequence[str]) -> Iterator[Episode]:
    """The episodes that are added: the kind and the arguments of each action."""
    if dice.random() < 0.5:
        return
    for name in names[: dice.randint(1, 3)]:
        yield (_ask(name, dice.choice(ASKED)),)
    for _ in range(dice.choice((2, 4, 6))):
        name = dice.choice(names)
        match dice.choice(("ask", "checker", "checker", "bad release")):
            case "ask":
                text = dice.choice((None, None, REFUSED, *ASKED))
                yield (_ask(name, text),)
            case "checker":
                yield (_checker(dice, dice.choice(MONITORS)),)
            case _:
                yield tuple(_bad_release(dice, name))


def _ask(name: str, text: str | None) -> Drawn:
    return "active check", {"name": name, "text": text}


def _checker(dice: Random, how: str) -> Drawn:
    return "checker", {"how": how, "seed": dice.randrange(2**31)}


def _bad_release(dice: Random, name: str) -> Iterator[Drawn]:
    """A new image whose pods fail, for a while, and who finds that out may die."""
    yield _ask(name, dice.choice(ASKED))
    yield _checker(dice, dice.choice(("bad", "some", "flapping")))
    yield "set image", {"name": name, "image": dice.choice(("app:2", "app:3", "app:4"))}
    yield "time", {"seconds": dice.choice((20.0, 70.0))}
    yield _checker(dice, dice.choice(("good", "dead", "some")))
    yield "time", {"seconds": dice.choice((20.0, 100.0))}
