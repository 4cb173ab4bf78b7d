"""Names that are like one that nobody has: what a person may have meant.

Looked for among the objects that are there and those that were told of lately, on the
readers' side only when a question has failed; the work is bounded (`LOOKED_MAX`).
"""

import difflib
from collections.abc import Iterator
from itertools import islice
from typing import Final

from domain import plain
from domain.errors import Rejected, not_found
from gateway import listing
from gateway.views.scene import Scene

_RESOURCES: Final = {
    "deployment": listing.DEPLOYMENTS.resource,
    "replicaset": listing.REPLICASETS.resource,
    "pod": listing.PODS.resource,
    "node": listing.NODES.resource,
    **{kind: resource for kind, (resource, _) in plain.KINDS.items()},
}
LOOKED_MAX: Final = 20_000
COMPARED_MAX: Final = 500
SUGGESTED_MAX: Final = 3
ALIKE_MIN: Final = 4
"""So many first characters make a name worth naming."""


def unknown(at: Scene, stream: str) -> Rejected:
    """The refusal of a question about an object that never was (spec 1.2), with the
    names that are like it."""
    kind, _, rest = stream.partition("/")
    found = not_found(_RESOURCES.get(kind, kind), rest.rpartition("/")[2])
    like = [_shown(key, stream) for key in near(at, stream)]
    if not like:
        return found
    meant = " or ".join(like)
    return Rejected("NotFound", f"{found.message}, now or before; is it {meant}?")


def unrecorded(stream: str) -> Rejected:
    """The refusal of a question about what every cluster or namespace simply has."""
    kind, _, rest = stream.partition("/")
    text = f"nothing is recorded about {kind}/{rest.rpartition('/')[2]}"
    return Rejected("NotFound", f"{text}: it has been there from the start, unchanged")


def too_early(stream: str, position: int, first: int) -> Rejected:
    """The refusal of a question about an object that came later."""
    kind, _, rest = stream.partition("/")
    found = not_found(_RESOURCES.get(kind, kind), rest.rpartition("/")[2])
    text = f"{found.message} at position {position}: it came at position {first}"
    return Rejected("NotFound", text)


def near(at: Scene, stream: str) -> list[str]:
    """The keys that are most like `stream`, the best first: of the same kind and, for
    the very same name, of other kinds and namespaces."""
    name = stream.rpartition("/")[2]
    prefix = stream[: len(stream) - len(name)]
    known = dict.fromkeys(islice(_known(at), LOOKED_MAX))
    same = [key for key in known if key.rpartition("/")[2] == name]
    siblings = [key for key in known if key.startswith(prefix) and key not in same]
    # Comparing is slow, so only those that begin alike are compared.
    siblings.sort(key=lambda key: -_alike(key[len(prefix) :], name))
    begin_alike = [
        key for key in siblings if _alike(key[len(prefix) :], name) >= ALIKE_MIN
    ]
    closest = difflib.get_close_matches(
        name, [key[len(prefix) :] for key in siblings[:COMPARED_MAX]], SUGGESTED_MAX
    )
    found = [*same, *(f"{prefix}{each}" for each in closest), *begin_alike]
    return [*dict.fromkeys(found)][:SUGGESTED_MAX]


def _shown(key: str, stream: str) -> str:
    """`pod/web-1`; with its namespace where that is another one."""
    kind, _, rest = key.partition("/")
    namespace, _, name = rest.rpartition("/")
    elsewhere = namespace and f"/{namespace}/" not in stream
    return f"{kind}/{name} (-n {namespace})" if elsewhere else f"{kind}/{name}"


def _known(at: Scene) -> Iterator[str]:
    desired, actual = at.cluster.desired, at.cluster.actual
    yield from desired.deployments
    yield from (use.node.key for use in actual.node_list)
    yield from desired.replicasets
    yield from actual.pods
    for line in at.happenings:
        kind = line.kind.lower()
        yield (
            f"{kind}/{line.namespace}/{line.name}"
            if line.namespace
            else (f"{kind}/{line.name}")
        )


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    unlike = (index for index, (left, right) in enumerate(pairs) if left != right)
    return next(unlike, min(len(one), len(other)))
