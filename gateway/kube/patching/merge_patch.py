"""JSON merge patch (RFC 7396): maps merge, null removes, anything else replaces."""

from domain.errors import Rejected

JSON = dict[str, object]


def apply(document: JSON, patch: object) -> JSON:
    """The document after the patch. Raises `Rejected` if the patch is not a map."""
    if not isinstance(patch, dict):
        raise Rejected("BadRequest", "a merge patch of an object is an object")
    return _merged(document, patch)


def _merged(document: JSON, patch: JSON) -> JSON:
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            held = result.get(key)
            result[key] = _merged(held if isinstance(held, dict) else {}, value)
        else:
            result[key] = value
    return result
