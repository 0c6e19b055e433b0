"""The fast client: wrk (https://github.com/wg/wrk, a package of most systems) replaying requests built before.

One thread of it, so that requests go out in their order and what must not be under way together is not. Its own
figures are not used: `replay.lua` reads exact latencies and counts out of it. With a server that closes its
connections the time to connect is not in the latencies, only in the rate.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import SLOW, WORST, NoAnswer, Result

_SCRIPT = Path(__file__).with_name("replay.lua")
# Not on the disk that the servers sync to.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_LONGEST = 30
"""Seconds an answer may take; it also sets the size of wrk's table of latencies."""


def is_here() -> bool:
    return shutil.which("wrk") is not None


def run(
    address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float, *, tls: bool = False
) -> Result:
    """Replays requests in their order for some whole seconds. Raises NoAnswer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={_LONGEST}s"]
    with tempfile.NamedTemporaryFile(prefix="replay-", dir=_MEMORY) as file:
        for request in requests:
            file.write(b"%d\n%b" % (len(request), request))
        file.flush()
        environment = {
            **os.environ,
            "REPLAY_FILE": file.name,
            "REPLAY_CONNECTIONS": str(connections),
            "REPLAY_SLOW": str(int(SLOW * 1000)),
            "REPLAY_WORST": str(WORST),
        }
        process = subprocess.Popen(
            [*command, "-s", str(_SCRIPT), "{}://{}:{}".format("https" if tls else "http", *address)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        # Not `communicate`: wait4 returns what this child took, whatever else runs.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    return parse(output, usage.ru_utime + usage.ru_stime)


def parse(output: str, cpu: float) -> Result:
    """The result out of the two lines that `replay.lua` writes; `cpu` is what the whole process took."""
    fields = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}
    if "replayed" not in fields:
        raise RuntimeError(f"wrk did not come to its end: {output}")
    answers, timed, refused, broken, duration, *times = map(int, map(float, fields["replayed"]))
    if not answers:
        raise NoAnswer("no answer within the time")
    if timed != answers:
        raise RuntimeError(f"wrk has {timed} latencies of {answers} answers: over {_LONGEST} s, or another wrk")
    p50, p99, slow, *worst = times
    return Result(
        answers,
        refused + broken,
        duration / 1e6,
        p50 / 1000,
        p99 / 1000,
        tuple(time / 1000 for time in worst),
        slow,
        cpu - float(fields["prepared"][0]),
    )
