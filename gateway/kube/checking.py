"""What a body must agree with before anything is done: its path, and what is there."""

from domain import errors
from domain.errors import FieldError, Rejected
from gateway.kube import bodies, manifests
from gateway.kube.bodies import Body
from gateway.kube.manifests import metadata_of, text_at
from gateway.kube.request import JSON, Request
from gateway.kube.resources import Resource


def identity(resource: Resource) -> JSON:
    """Version and kind, which a body may leave out where the path says them."""
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def named(request: Request, document: JSON) -> JSON:
    """The document's metadata with the name and the namespace of the path."""
    metadata = {**metadata_of(document), "name": request.name}
    if request.namespace:
        metadata["namespace"] = request.namespace
    return metadata


def check_kind(resource: Resource, document: JSON) -> None:
    """Raises `Rejected` (BadRequest) for an object of another kind or version."""
    version, kind = text_at(document, "apiVersion"), text_at(document, "kind")
    if (version or resource.api_version) != resource.api_version:
        raise Rejected(
            "BadRequest",
            f"the API version in the data ({version}) does not match the expected API "
            f"version ({resource.api_version})",
        )
    if (kind or resource.kind) != resource.kind:
        short = resource.version
        raise Rejected(
            "BadRequest",
            f'{kind} in version "{short}" cannot be handled as a {resource.kind}: '
            f"the path is that of a {resource.kind}",
        )
    check_namespaced(resource, document)


def check_namespaced(resource: Resource, document: JSON) -> None:
    """Raises `Rejected` for metadata that is none."""
    if not isinstance(document.get("metadata") or {}, dict):
        raise Rejected(
            "BadRequest",
            manifests.not_handled(resource, "metadata: expected an object"),
        )


def check_namespace(request: Request, document: JSON) -> None:
    """Raises `Rejected` (BadRequest) for another namespace than that of the path."""
    namespace = text_at(document, "metadata", "namespace")
    if (namespace or request.namespace) != request.namespace:
        raise Rejected(
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent "
            "on the request",
        )


def check_name(request: Request, document: JSON) -> None:
    """Raises `Rejected` (BadRequest) for another name or namespace."""
    name = text_at(document, "metadata", "name")
    if (name or request.name) != request.name:
        raise Rejected(
            "BadRequest",
            f"the name of the object ({name}) does not match the name on the URL "
            f"({request.name})",
        )
    check_namespace(request, document)


def check_identity(request: Request, document: JSON, live: JSON) -> None:
    """Raises `Rejected` (Conflict) where the document is of another object than
    `live`, or of another version of it."""
    uid = text_at(document, "metadata", "uid")
    if uid and uid != text_at(live, "metadata", "uid"):
        found = text_at(live, "metadata", "uid")
        raise errors.uid_conflict(wanted=uid, found=found)
    version = text_at(document, "metadata", "resourceVersion")
    if version and version != text_at(live, "metadata", "resourceVersion"):
        raise errors.conflict(request.resource.qualified, request.name)


def base_name(request: Request, document: JSON) -> tuple[str, str]:
    """The base of a name that is to be made, and the name that is given.

    Raises `Rejected` (Invalid) where there is neither.
    """
    name = text_at(document, "metadata", "name")
    base = text_at(document, "metadata", "generateName")
    if not name and not base:
        required = FieldError(
            reason="FieldValueRequired",
            message="Required value: name or generateName is required",
            field="metadata.name",
        )
        raise errors.invalid(request.resource.qualified_kind, "", [required])
    return base, name


def judged(request: Request, unknown: tuple[str, ...], body: Body) -> tuple[str, ...]:
    """The warnings about fields that are not known, or are there twice.

    Raises `Rejected` (BadRequest) where they are to be refused.
    """
    validation = bodies.validation_of(request.params)
    findings = () if body.lenient else bodies.strict_findings(unknown, body.duplicates)
    if findings and validation == "Strict":
        why = f"strict decoding error: {', '.join(findings)}"
        raise Rejected("BadRequest", manifests.not_handled(request.resource, why))
    return findings if validation == "Warn" else ()


def version_required(resource: Resource, name: str) -> Rejected:
    """The 422 for an update that must name its version, and does not."""
    broken = FieldError(
        reason="FieldValueInvalid",
        message="Invalid value: 0x0: must be specified for an update",
        field="metadata.resourceVersion",
    )
    return errors.invalid(resource.qualified_kind, name, [broken])
