"""Builds by their references."""

import asyncio
from typing import cast

import pytest

import errdefs
from api.buildkit import jobs
from api.buildkit.jobs import Job, Jobs

JOB = cast("Job", object())


async def test_a_call_waits_for_a_build_that_is_about_to_begin_and_not_for_one_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "_PATIENCE", None)  # for good
    known = Jobs()
    async with asyncio.TaskGroup() as calls:
        early = calls.create_task(known.get("a"))
        await asyncio.sleep(0)
        with known.begun("a", JOB):
            assert await early is JOB
    with pytest.raises(errdefs.NotFound, match="no such job a"):
        await known.get("a")
    with known.begun("a", JOB):
        assert await known.get("a") is JOB


async def test_a_build_that_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_PATIENCE", 0.01)
    with pytest.raises(errdefs.NotFound, match="no such job a"):
        await Jobs().get("a")
