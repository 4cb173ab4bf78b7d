"""Names: random suffixes, derived names, object keys and subject tokens.

1. A key is `kind/namespace/name`, `node/name`, `namespace/name` or `command/id`, and is
   the stream id.
2. Randomness comes in as an argument: the same seed gives the same names.
3. A subject token carries any text: what NATS forbids is written `%XX` (architecture,
   section 4).
"""

import re
from typing import Final, Protocol


class Dice(Protocol):
    """What is needed of a `random.Random`; the core has no randomness of its own."""

    def choice(self, seq: str, /) -> str:
        """One character of `seq`."""
        ...


SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""27 characters that spell no words and are not mistaken for each other (spec 1.5)."""
SUFFIX_LENGTH: Final = 5
BASE_LENGTH_MAX: Final = 58
LABEL_LENGTH_MAX: Final = 63
SUBDOMAIN_LENGTH_MAX: Final = 253

DNS_LABEL_PATTERN: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN_PATTERN: Final = rf"{DNS_LABEL_PATTERN}(\.{DNS_LABEL_PATTERN})*"
_DNS_SUBDOMAIN: Final = re.compile(DNS_SUBDOMAIN_PATTERN)
CLUSTER_KINDS: Final = frozenset({"node", "namespace", "command"})
"""The kinds whose objects are in no namespace."""


def suffix(rng: Dice, length: int = SUFFIX_LENGTH) -> str:
    """`length` characters of the alphabet, each equally likely."""
    return "".join(rng.choice(SUFFIX_ALPHABET) for _ in range(length))


def generate_name(base: str, rng: Dice) -> str:
    """`base`, cut to 58 characters, and five random ones (spec 1.5, 3.4)."""
    return base[:BASE_LENGTH_MAX] + suffix(rng)


def replicaset_name(deployment: str, template_hash: str) -> str:
    """`<deployment>-<hash>`, the first part cut so that 253 suffice (spec 2.4)."""
    room = SUBDOMAIN_LENGTH_MAX - 1 - len(template_hash)
    return f"{deployment[:room]}-{template_hash}"


def key(kind: str, namespace: str, name: str) -> str:
    """The key and stream id of any object; the kind may make the namespace moot."""
    if kind in CLUSTER_KINDS:
        return f"{kind}/{name}"
    return f"{kind}/{namespace}/{name}"


def deployment_key(namespace: str, name: str) -> str:
    """The key and stream id of a Deployment."""
    return f"deployment/{namespace}/{name}"


def replicaset_key(namespace: str, name: str) -> str:
    """The key and stream id of a ReplicaSet."""
    return f"replicaset/{namespace}/{name}"


def pod_key(namespace: str, name: str) -> str:
    """The key and stream id of a pod."""
    return f"pod/{namespace}/{name}"


def node_key(name: str) -> str:
    """The key and stream id of a node, which has no namespace."""
    return f"node/{name}"


def namespace_key(name: str) -> str:
    """The key and stream id of a namespace."""
    return f"namespace/{name}"


def command_key(command_id: str) -> str:
    """The stream id of a command."""
    return f"command/{command_id}"


def split_key(key: str) -> tuple[str, str, str]:
    """(kind, namespace, name); the namespace is empty where the kind has none.

    Raises ValueError when `key` has not the shape of rule 1.
    """
    kind, _, rest = key.partition("/")
    if kind in CLUSTER_KINDS and rest:
        return kind, "", rest
    namespace, _, name = rest.partition("/")
    if not (kind and namespace and name) or kind in CLUSTER_KINDS or "/" in name:
        raise ValueError(f'"{key}" is not a key: kind/namespace/name or node/name')
    return kind, namespace, name


def is_dns_subdomain(name: str) -> bool:
    """Labels joined by dots, 253 characters at most; one may be long (spec 1.5)."""
    return (
        len(name) <= SUBDOMAIN_LENGTH_MAX and _DNS_SUBDOMAIN.fullmatch(name) is not None
    )


_UNSAFE: Final = re.compile(r"[^!-~]|[.%*>]")
_ESCAPED: Final = re.compile(r"(?:%[0-9A-F]{2})+")
_EMPTY: Final = "%"


def escape(text: str) -> str:
    """`text` as one valid NATS subject token; `unescape` gives it back.

    `.`, `%`, `*`, `>`, blanks, control and non-ASCII characters become `%XX` of their
    UTF-8 bytes. The empty text becomes a single `%`, because a token is never empty.
    """
    if not text:
        return _EMPTY
    return _UNSAFE.sub(lambda found: _percent(found[0]), text)


def unescape(token: str) -> str:
    """The text that `escape` made `token` from.

    Raises ValueError when the token is not a text that `escape` makes: one text has
    one token, so that two subjects never mean the same object.
    """
    if token == _EMPTY:
        return ""
    try:
        text = _ESCAPED.sub(lambda found: _bytes(found[0]).decode(), token)
    except UnicodeDecodeError:
        text = ""
    if not text or escape(text) != token:
        raise ValueError(f'"{token}" is not an escaped subject token')
    return text


def _percent(character: str) -> str:
    encoded = character.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in encoded)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("%", ""))
