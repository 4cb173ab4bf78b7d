"""What `--runtime auto` is: containers where an engine answers, else processes.

The kubelets of one `rollbook up` are all of one kind: it is chosen once.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from rollbook.options import Runtime


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen; `why` is for people, and empty where they have said it."""

    runtime: Runtime
    why: str = ""


def choose(asked: Runtime, environ: Mapping[str, str], engine_url: str = "") -> Choice:
    """What `asked` means on this machine now; never `auto`. Not for a running loop.

    With `engine_url` no other engine is asked.
    """
    if engine_url:
        environ = {**environ, "DOCKER_HOST": engine_url}
    if asked != "auto":
        return Choice(runtime=asked)
    try:
        from adapters import engine  # who has said what they want does not pay for it
    except ImportError as error:
        why = f"there is no client for an engine ({error.name} is not installed)"
        return Choice(runtime="process", why=why)
    found = asyncio.run(engine.find(environ))
    if found is not None:
        why = f"{found.name} {found.version} answers at {found.url}: {found.why}"
        return Choice(runtime="container", why=why)
    places = [url for url, _ in engine.candidates(environ)]
    if not places:
        return Choice(runtime="process", why="no container engine has a socket here")
    why = f"no engine answers at {', '.join(places)}"
    return Choice(runtime="process", why=why)
