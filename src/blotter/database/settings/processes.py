"""The settings of processes, memory and time limits, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from blotter.database.http.limits import Limits
from blotter.database.settings.declaring import Declared, megabytes, seconds, whole

_LIMITS = Limits()


@dataclass(frozen=True)
class Processes:
    """Worker processes, and what clients may cost them."""

    workers: Annotated[
        int,
        Declared(
            whole(1, 256),
            "Worker processes. Cores are counted by affinity and by the container's quota.",
            default="one per core",
        ),
    ] = 1
    max_connections: Annotated[
        int,
        Declared(
            whole(1, 1_000_000),
            "Open connections for each worker; past it the ones idle longest are closed. Never more than the "
            "limit of open files allows.",
        ),
    ] = _LIMITS.connections
    request_memory: Annotated[
        int,
        Declared(
            megabytes(64, 1_000_000),
            "Megabytes that requests in progress may take at once in each worker: bodies, what they are decoded "
            "to, and answers that clients have not taken. More large requests get status 503, which SDKs retry.",
        ),
    ] = _LIMITS.buffered
    vector_memory: Annotated[
        int,
        Declared(
            megabytes(1, 1_000_000),
            "Megabytes that copies of vector indexes may take in each worker: 4 bytes for each dimension of a "
            "vector and some 340 more. A search of what has no room is answered from disk, every time.",
        ),
    ] = 1024 * 1024 * 1024
    header_timeout: Annotated[
        float,
        Declared(seconds(0.1, 3600), "Seconds a client may take to send a request's headers."),
    ] = _LIMITS.header_timeout
    body_timeout: Annotated[
        float,
        Declared(seconds(0.1, 3600), "Seconds a client may take to send a request's body."),
    ] = _LIMITS.body_timeout
    write_timeout: Annotated[
        float,
        Declared(seconds(0.1, 3600), "Seconds a client may take to receive an answer."),
    ] = _LIMITS.write_timeout
    idle_timeout: Annotated[float, Declared(seconds(0.1, 86400), "Seconds an unused connection is kept.")] = (
        _LIMITS.idle_timeout
    )
    drain_timeout: Annotated[
        float,
        Declared(
            seconds(0, 3600),
            "Seconds that requests in progress have to finish when the server stops.",
        ),
    ] = _LIMITS.drain_timeout
    hang_timeout: Annotated[
        float,
        Declared(
            seconds(0, 86400),
            "Seconds a worker may send no heartbeat, because it is stopped or stuck, before it is killed and "
            "replaced; until then it may keep others from writing. 0: never.",
        ),
    ] = 20.0
