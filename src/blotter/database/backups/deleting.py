"""The job that removes the contents of a backup that was deleted: the manifest first, without which the rest is no
copy."""

from __future__ import annotations

import asyncio

from blotter.database.copies import jobs
from blotter.database.copies.format import MANIFEST
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import Objects
from blotter.database.operations.backups.jobs import DeleteState


async def run(job: Job, tools: Tools) -> None:
    """Raises ObjectsUnavailable: try again later."""
    place = job.state_as(DeleteState).place
    await asyncio.to_thread(remove_copy, tools.objects.within(place))
    await tools.storage.write(lambda tx: jobs.end(tx, job.id))


def remove_copy(objects: Objects) -> None:
    """Removes a copy, whole or not. Raises ObjectsUnavailable."""
    objects.delete(MANIFEST)
    for info in list(objects.list()):
        objects.delete(info.name)
