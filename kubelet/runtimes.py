"""Which runtime a node has; each is imported by those who use it only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kubelet import hollow_runtime, runtime

if TYPE_CHECKING:
    from kubelet import main


def make(
    settings: main.KubeletSettings, name: str, clock: Callable[[], float]
) -> runtime.Runtime:
    """The runtime of the node `name`, not opened yet."""
    if settings.nodes or settings.runtime == "hollow":
        return hollow_runtime.HollowRuntime(name, settings.hollow, clock)
    if settings.runtime == "container":
        from kubelet import container_runtime

        return container_runtime.ContainerRuntime(
            name,
            settings.data,
            engine_url=settings.engine,
            rules=settings.rules,
            keep_pods=settings.keep_pods,
        )
    from kubelet import process_runtime

    return process_runtime.ProcessRuntime(
        name,
        settings.data,
        image_folders=settings.images,
        keep_pods=settings.keep_pods,
        supervisor=settings.supervisor,
    )
