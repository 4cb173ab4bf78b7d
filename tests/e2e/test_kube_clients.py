"""The Python clients that people have, unchanged, against a whole cluster.

One day of a Deployment with the official client and with lightkube: neither must see
that the API is not Kubernetes' own.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes
import lightkube
import pytest
from kubernetes import client as official
from kubernetes import watch as official_watch
from lightkube import ApiError
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.core_v1 import ConfigMap, Node, Pod
from lightkube.types import PatchType

from tests.support import kubeapi, system
from tests.support.system import System, eventually

pytestmark = pytest.mark.e2e

NAMESPACE: Final = "default"
BAD: Final = "nginx:1.91"
"""An image that no registry has (spec 1.9)."""
REVISION: Final = "deployment.kubernetes.io/revision"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Three hollow nodes."""
    folder = tmp_path_factory.mktemp("clients")
    with system.running(folder / "c", "--runtime", "hollow", "--nodes", "3") as found:
        yield found
