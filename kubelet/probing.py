"""One probe of a container of the process runtime, from its question to the fact."""

from domain import podspec
from kubelet import launch, probes, runtime


async def ask(
    prober: probes.Prober,
    ports: runtime.Runtime,
    ip: str,
    spec: podspec.Container,
    asked: runtime.Probed,
) -> runtime.Probed:
    """The answer to what `asked` names; one that it does not have succeeds."""
    probe = {
        "Startup": spec.startup_probe,
        "Liveness": spec.liveness_probe,
        "Readiness": spec.readiness_probe,
    }[asked.kind]

    async def execute(command: tuple[str, ...], seconds: float) -> runtime.ExecResult:
        return await ports.exec(asked.uid, spec.name, command, seconds)

    def port_of(wanted: int | str) -> int:
        return launch.probed_port(spec, wanted)

    why = ""
    if probe is not None:
        why = await prober.run(probe, ip=ip, port_of=port_of, execute=execute)
    return runtime.Probed(
        uid=asked.uid,
        container=asked.container,
        attempt=asked.attempt,
        kind=asked.kind,
        success=not why,
        message=why,
    )
