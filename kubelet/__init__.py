"""The node agent: runs the pods that control assigns, and reports what it sees.

1. Pure, and the same in production and in the simulator: `agent` (what control wants
   and was told, with `reporting`), `lifecycle` (one pod), `containers` (one container:
   the transition table), `backoff`, `probe_results`, `environment`; `HollowPods`.
2. `runtime` is the port to what really runs containers; `process_runtime` and
   `hollow_runtime` implement it. Asking never waits, answers are observations.
3. `pods` drives lifecycles against a runtime, `node` joins that with the agent and a
   timer, `main` with NATS. None of them decides anything.

If a message changes (domain/protocol.py), `agent` and `reporting` are the readers here.
"""
