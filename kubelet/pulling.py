"""Pulling where images are files of a catalogue: found, or not found."""

import time

from domain import podspec
from kubelet import images, runtime


class Puller:
    """One node's images. One that was pulled once is present from then on."""

    def __init__(self, catalogue: images.Catalogue) -> None:
        self.catalogue = catalogue
        self._present: set[str] = set()

    def pull(self, uid: str, spec: podspec.Container) -> list[runtime.PodObservation]:
        """What comes of pulling the image of that container, in order."""
        begun = time.monotonic()
        image, policy = spec.image, spec.image_pull_policy
        try:
            full = images.normalise(image)
            # What a command names is there; the image's name means nothing then.
            known = bool(spec.command) or self.catalogue.find(image) is not None
        except ValueError as error:
            text = f'Failed to apply default image tag "{image}": {error}'
            return [_failed(uid, spec.name, text, "InvalidImageName")]
        if not known and policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            return [_failed(uid, spec.name, text, "ErrImageNeverPull")]
        present = known and policy != "Always" and full in self._present
        facts: list[runtime.PodObservation] = []
        if not present:
            facts.append(runtime.ImagePulling(uid=uid, container=spec.name))
        if not known:
            text = images.not_found(image)
            return [*facts, _failed(uid, spec.name, text, "ErrImagePull")]
        self._present.add(full)
        pulled = runtime.ImagePulled(
            uid=uid,
            container=spec.name,
            present=present,
            seconds=time.monotonic() - begun,
        )
        return [*facts, pulled]


def _failed(uid: str, container: str, text: str, reason: str) -> runtime.ImageFailed:
    return runtime.ImageFailed(
        uid=uid, container=container, message=text, reason=reason
    )
