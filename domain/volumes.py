"""Volumes of a pod (core/v1), as structs; `domain.metadata` has the conventions.

The sources are those that pods are written with today. The drivers that Kubernetes has
moved out of its own tree are reached through `csi`, as there.
"""

from __future__ import annotations

import msgspec

from domain.containers import ObjectFieldSelector, ResourceFieldSelector
from domain.labels import LabelSelector
from domain.metadata import (
    Int32,
    Int64,
    LocalObjectReference,
    ObjectMeta,
    Quantity,
    ResourceList,
    Value,
)


class Volume(Value, frozen=True, kw_only=True):
    """A named volume; exactly one source is set."""

    name: str = ""
    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = msgspec.field(
        default=None, name="downwardAPI"
    )
    fc: FCVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    image: ImageVolumeSource | None = None


class HostPathVolumeSource(Value, frozen=True, kw_only=True):
    """A path of the node."""

    path: str = ""
    type: str | None = None


class EmptyDirVolumeSource(Value, frozen=True, kw_only=True):
    """An empty directory that lives as long as the pod."""

    medium: str = ""
    size_limit: Quantity | None = None


class SecretVolumeSource(Value, frozen=True, kw_only=True):
    """The keys of a Secret as files."""

    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: Int32 | None = None
    optional: bool | None = None


class KeyToPath(Value, frozen=True, kw_only=True):
    """One key, and the file that it becomes."""

    key: str = ""
    path: str = ""
    mode: Int32 | None = None


class NFSVolumeSource(Value, frozen=True, kw_only=True):
    """A directory of an NFS server."""

    server: str = ""
    path: str = ""
    read_only: bool = False


class ISCSIVolumeSource(Value, frozen=True, kw_only=True):
    """An iSCSI disk."""

    target_portal: str = ""
    iqn: str = ""
    lun: Int32 = 0
    iscsi_interface: str = ""
    fs_type: str = ""
    read_only: bool = False
    portals: tuple[str, ...] = ()
    chap_auth_discovery: bool = False
    chap_auth_session: bool = False
    secret_ref: LocalObjectReference | None = None
    initiator_name: str | None = None


class PersistentVolumeClaimVolumeSource(Value, frozen=True, kw_only=True):
    """A claim of the same namespace."""

    claim_name: str = ""
    read_only: bool = False


class DownwardAPIVolumeSource(Value, frozen=True, kw_only=True):
    """Fields of the pod as files."""

    items: tuple[DownwardAPIVolumeFile, ...] = ()
    default_mode: Int32 | None = None


class DownwardAPIVolumeFile(Value, frozen=True, kw_only=True):
    """One field of the pod, and the file that it becomes."""

    path: str = ""
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: Int32 | None = None


class FCVolumeSource(Value, frozen=True, kw_only=True):
    """A fibre channel disk."""

    target_wwns: tuple[str, ...] = msgspec.field(default=(), name="targetWWNs")
    lun: Int32 | None = None
    fs_type: str = ""
    read_only: bool = False
    wwids: tuple[str, ...] = ()


class ConfigMapVolumeSource(Value, frozen=True, kw_only=True):
    """The keys of a ConfigMap as files."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: Int32 | None = None
    optional: bool | None = None


class ProjectedVolumeSource(Value, frozen=True, kw_only=True):
    """Several sources in one directory."""

    sources: tuple[VolumeProjection, ...] = ()
    default_mode: Int32 | None = None


class VolumeProjection(Value, frozen=True, kw_only=True):
    """Exactly one of these is set."""

    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = msgspec.field(
        default=None, name="downwardAPI"
    )
    config_map: ConfigMapProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    pod_certificate: PodCertificateProjection | None = None


class SecretProjection(Value, frozen=True, kw_only=True):
    """Keys of a Secret."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class DownwardAPIProjection(Value, frozen=True, kw_only=True):
    """Fields of the pod."""

    items: tuple[DownwardAPIVolumeFile, ...] = ()


class ConfigMapProjection(Value, frozen=True, kw_only=True):
    """Keys of a ConfigMap."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class ServiceAccountTokenProjection(Value, frozen=True, kw_only=True):
    """A token of the service account, renewed before it expires."""

    audience: str = ""
    expiration_seconds: Int64 | None = None
    path: str = ""


class ClusterTrustBundleProjection(Value, frozen=True, kw_only=True):
    """Trust anchors as one file."""

    name: str | None = None
    signer_name: str | None = None
    label_selector: LabelSelector | None = None
    optional: bool | None = None
    path: str = ""


class PodCertificateProjection(Value, frozen=True, kw_only=True):
    """A key and a certificate for this pod."""

    signer_name: str = ""
    key_type: str = ""
    max_expiration_seconds: Int32 | None = None
    credential_bundle_path: str = ""
    key_path: str = ""
    certificate_chain_path: str = ""
    user_annotations: dict[str, str] = msgspec.field(default_factory=dict)


class CSIVolumeSource(Value, frozen=True, kw_only=True):
    """A volume of a CSI driver."""

    driver: str = ""
    read_only: bool | None = None
    fs_type: str | None = None
    volume_attributes: dict[str, str] = msgspec.field(default_factory=dict)
    node_publish_secret_ref: LocalObjectReference | None = None


class EphemeralVolumeSource(Value, frozen=True, kw_only=True):
    """A claim that is made for the pod and dies with it."""

    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class PersistentVolumeClaimTemplate(Value, frozen=True, kw_only=True):
    """The claim that is made."""

    metadata: ObjectMeta | None = None
    spec: PersistentVolumeClaimSpec | None = None


class VolumeResourceRequirements(Value, frozen=True, kw_only=True):
    """How much storage."""

    limits: ResourceList = msgspec.field(default_factory=dict)
    requests: ResourceList = msgspec.field(default_factory=dict)


class PersistentVolumeClaimSpec(Value, frozen=True, kw_only=True):
    """What storage is claimed."""

    access_modes: tuple[str, ...] = ()
    selector: LabelSelector | None = None
    resources: VolumeResourceRequirements = msgspec.field(
        default_factory=VolumeResourceRequirements
    )
    volume_name: str = ""
    storage_class_name: str | None = None
    volume_mode: str | None = None
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    volume_attributes_class_name: str | None = None


class TypedLocalObjectReference(Value, frozen=True, kw_only=True):
    """An object of any kind in the same namespace."""

    api_group: str | None = None
    kind: str = ""
    name: str = ""


class TypedObjectReference(Value, frozen=True, kw_only=True):
    """An object of any kind, perhaps in another namespace."""

    api_group: str | None = None
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class ImageVolumeSource(Value, frozen=True, kw_only=True):
    """The files of an image."""

    reference: str = ""
    pull_policy: str = ""
