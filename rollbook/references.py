"""What a person calls an object, and which object that is.

1. A kind has many spellings, as in kubectl: `deployment`, `deployments`, `deploy`,
   `deployment.apps`, `deployments.v1.apps`, in any case.
2. An object is `TYPE/NAME` or `TYPE NAME…`; the two forms do not mix (spec 6.1).
3. A node has no namespace, nor has a namespace; everything else is in one.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, cast

import msgspec

from domain import queries
from rollbook.failures import Failure


class Kind(msgspec.Struct, frozen=True):
    """One kind of objects, with the words that kubectl uses for it."""

    name: str
    title: str
    plural: str
    short: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def qualified(self) -> str:
        """`deployment.apps`, `pod`: the kind in a success line."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def resource(self) -> str:
        """`deployments.apps`, `pods`: the kind in an error."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def asked(self) -> queries.Kind:
        """The kind in a question."""
        return cast(queries.Kind, self.name)


DEPLOYMENT: Final = Kind("deployment", "Deployment", "deployments", "deploy", "apps")
REPLICASET: Final = Kind("replicaset", "ReplicaSet", "replicasets", "rs", "apps")
POD: Final = Kind("pod", "Pod", "pods", "po")
NODE: Final = Kind("node", "Node", "nodes", "no", namespaced=False)
EVENT: Final = Kind("event", "Event", "events", "ev")

CONFIGMAP: Final = Kind("configmap", "ConfigMap", "configmaps", "cm")
SECRET: Final = Kind("secret", "Secret", "secrets", "")
SERVICEACCOUNT: Final = Kind(
    "serviceaccount", "ServiceAccount", "serviceaccounts", "sa"
)
LEASE: Final = Kind("lease", "Lease", "leases", "", "coordination.k8s.io")
NAMESPACE: Final = Kind("namespace", "Namespace", "namespaces", "ns", namespaced=False)
AUTOSCALER: Final = Kind(
    "horizontalpodautoscaler",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    "hpa",
    "autoscaling",
    "v2",
)

PLAIN: Final = (CONFIGMAP, SECRET, SERVICEACCOUNT, LEASE, NAMESPACE, AUTOSCALER)
"""The kinds that are kept and shown, and run nothing."""
KINDS: Final = (DEPLOYMENT, REPLICASET, POD, NODE, EVENT, *PLAIN)
ALL: Final = (POD, DEPLOYMENT, REPLICASET)
"""What the type `all` stands for, in kubectl's order."""


class Reference(msgspec.Struct, frozen=True):
    """One object by its kind and name; `namespace` is empty for a node."""

    kind: Kind
    name: str
    namespace: str = ""

    @property
    def key(self) -> str:
        """The stream of the object: `deployment/default/nginx`, `node/worker-1`."""
        if self.kind.namespaced:
            return f"{self.kind.name}/{self.namespace}/{self.name}"
        return f"{self.kind.name}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind.qualified}/{self.name}"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the words of a command line select: objects, or else whole kinds."""

    kinds: tuple[Kind, ...] = ()
    references: tuple[Reference, ...] = ()


def find_kind(word: str) -> Kind | None:
    """The kind that `word` spells, or None."""
    return _SPELLINGS.get(word.lower())


def kind_like(word: str) -> Kind | None:
    """The kind that somebody who wrote `word` may have meant."""
    alike = get_close_matches(word.lower(), _SPELLINGS, n=1, cutoff=0.8)
    return _SPELLINGS[alike[0]] if alike else None


def parse_kind(word: str) -> Kind:
    """The kind that `word` spells. Raises `Failure` with kubectl's words (spec 6.1)."""
    kind = find_kind(word)
    if kind is None:
        alike = get_close_matches(word.lower(), _SPELLINGS, n=1)
        hint = f", did you mean {alike[0]}?" if alike else ""
        raise Failure(f'error: the server doesn\'t have a resource type "{word}"{hint}')
    return kind


def parse_reference(text: str, namespace: str) -> Reference:
    """`TYPE/NAME` as the object in `namespace`. Raises `Failure`."""
    word, slash, name = text.partition("/")
    if not slash or not word or not name or "/" in name:
        raise Failure(
            f'error: "{text}" is not an object: write TYPE/NAME, for example '
            "deployment/nginx"
        )
    return at(parse_kind(word), name, namespace)


def at(kind: Kind, name: str, namespace: str) -> Reference:
    """The object of that kind and name; the namespace of a node is dropped."""
    return Reference(kind, name, namespace if kind.namespaced else "")


def parse_selection(words: Sequence[str], namespace: str) -> Selection:
    """What `TYPE[,TYPE…] [NAME…]` or `TYPE/NAME…` selects (spec 6.1).

    Raises `Failure` with kubectl's words where the two forms are mixed, where a name
    stands beside several types, or where there is no such type.
    """
    if not words:
        return Selection()
    slashed = ["/" in word for word in words]
    if all(slashed):
        return Selection(
            references=tuple(parse_reference(word, namespace) for word in words)
        )
    if slashed[0]:
        raise Failure(
            "error: there is no need to specify a resource type as a separate argument "
            "when passing arguments in resource/name form (e.g. 'rollbook get "
            "resource/<resource_name>' instead of 'rollbook get resource "
            "resource/<resource_name>')"
        )
    kinds: list[Kind] = []
    for word in filter(None, words[0].split(",")):
        kinds += ALL if word == "all" else [parse_kind(word)]
    kinds = list(dict.fromkeys(kinds))
    if any(slashed):
        raise Failure(
            "error: there is no need to specify a resource type as a separate argument "
            "when passing arguments in resource/name form"
        )
    if len(words) == 1:
        return Selection(kinds=tuple(kinds))
    if len(kinds) != 1:
        raise Failure("error: you may only specify a single resource type")
    return Selection(
        references=tuple(at(kinds[0], name, namespace) for name in words[1:])
    )


def _spellings() -> dict[str, Kind]:
    spellings: dict[str, Kind] = {}
    for kind in KINDS:
        for word in filter(None, (kind.name, kind.plural, kind.short)):
            spellings[word] = kind
        for word in (kind.name, kind.plural):
            if kind.group:
                spellings[f"{word}.{kind.group}"] = kind
                spellings[f"{word}.{kind.version}.{kind.group}"] = kind
            else:
                spellings[f"{word}.{kind.version}"] = kind
    return spellings


_SPELLINGS: Final = _spellings()
