"""Serve /v1/jobs: submit a file or a URL, read its state and its text, cancel and delete it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from jobs.job import JobState, JobTranscript
from server.errors import ApiError, invalid, missing, restarting
from server.http.exception_handlers import http_error_of
from server.http.sse import KEEP_ALIVE, KEEP_ALIVE_SECONDS, EventStream, encoded_event
from server.http.url_parameters import check_parameters
from server.protocols.job_endpoint import JobEndpoint, check_address, checked_id, job_errors_as_http, owner_of
from server.protocols.job_fields import parse_job_fields
from server.protocols.jobs import openapi
from server.protocols.jobs.messages import (
    DeletedJob,
    DeliveryList,
    JobList,
    JobObject,
    delivery_list,
    job_object,
    parse_states,
    segment_objects,
)
from server.protocols.jobs.rendering import Format, render_transcript

MAX_PAGE: Final = 100


class JobsEndpoint(JobEndpoint):
    """Serve the native API of jobs."""

    protocol = "jobs"

    def router(self) -> APIRouter:
        """Return the routes of /v1/jobs."""
        router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(check_parameters)])

        @router.post("", **openapi.SUBMIT)
        async def submit(request: Request) -> Response:
            """Accept a file or a URL as a job. Once this has answered 202, the job is on the disk."""
            return await self._accept(request)

        @router.get("", **openapi.LIST)
        async def find(
            request: Request,
            limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
            after: Annotated[str | None, Query(max_length=100, description="id of the last job seen")] = None,
            status: Annotated[str, Query(max_length=200, description="states, separated by commas")] = "",
        ) -> JobList:
            """List the jobs of the caller, the newest first."""
            return await self._find(request, limit, after, status)

        @router.get("/{job_id}", **openapi.GET)
        async def get(request: Request, job_id: str) -> JobObject:
            """Return the state of a job."""
            jobs = await self._jobs()
            with job_errors_as_http():
                return job_object(await jobs.get(checked_id(job_id), owner_of(request)))

        @router.delete("/{job_id}", **openapi.DELETE)
        async def delete(
            request: Request,
            job_id: str,
            keep: Annotated[bool, Query(description="only cancel: keep a job that has ended")] = False,
        ) -> JobObject | DeletedJob:
            """Cancel a job that has not ended; delete one that has, with its audio and its text."""
            jobs, owner = await self._jobs(), owner_of(request)
            with job_errors_as_http():
                if keep or not (await jobs.get(checked_id(job_id), owner)).state.is_final:
                    return job_object(await jobs.cancel(checked_id(job_id), owner))
                await jobs.delete(job_id, owner)
            return DeletedJob(id=job_id)

        @router.get("/{job_id}/transcript", **openapi.TRANSCRIPT)
        async def transcript(request: Request, job_id: str, format: Format = "json") -> Response:
            """Return the text of a job, as far as it is known."""
            jobs = await self._jobs()
            with job_errors_as_http():
                found = await jobs.transcript(checked_id(job_id), owner_of(request))
            return await asyncio.to_thread(render_transcript, found, format)

        @router.get("/{job_id}/deliveries", **openapi.DELIVERIES)
        async def deliveries(request: Request, job_id: str) -> DeliveryList:
            """Return the tries to report the end of a job to its callback address."""
            jobs = await self._jobs()
            with job_errors_as_http():
                return delivery_list(await jobs.deliveries(checked_id(job_id), owner_of(request)))

        @router.get("/{job_id}/events", **openapi.EVENTS)
        async def events(request: Request, job_id: str) -> Response:
            """Send the state of a job and its segments as server-sent events, until it has ended."""
            return await self._watch(request, job_id)

        return router

    async def _accept(self, request: Request) -> Response:
        async with self._received(request) as upload:
            fields = parse_job_fields(upload.fields, is_json=upload.is_json)
            if upload.file is None and fields.url is None:
                raise missing("file")
            if upload.file is not None and fields.url is not None:
                raise invalid("Send a file or a 'url', not both.", "url")
            options = fields.options()
            if options.speakers is not None and not self._settings.diarize:
                raise invalid("This server does not distinguish speakers.", "diarize", "unsupported_value")
            if fields.callback is not None:
                check_address(fields.callback, "callback")
            job, is_new = await self._submit(
                request, upload, url=fields.url, options=options, priority=fields.priority
            )
        headers = {"location": f"/v1/jobs/{job.id}"}
        return JSONResponse(job_object(job).model_dump(mode="json"), 202 if is_new else 200, headers=headers)

    async def _find(self, request: Request, limit: int, after: str | None, status: str) -> JobList:
        try:
            states = parse_states(status)
        except ValueError:
            raise invalid(f"Invalid 'status': the states are {', '.join(JobState)}.", "status") from None
        jobs = await self._jobs()
        with job_errors_as_http():
            last = None if after is None else checked_id(after)
            found = await jobs.find(owner_of(request), limit=limit + 1, after=last, states=states)
        page = found[:limit]
        return JobList(
            data=[job_object(job) for job in page],
            has_more=len(found) > limit,
            last_id=page[-1].id if page else None,
        )

    async def _watch(self, request: Request, job_id: str) -> Response:
        """Return a stream of events, which ends when the server drains."""
        jobs, stopping = await self._jobs(), asyncio.Event()
        async with AsyncExitStack() as stack:
            stack.enter_context(self._services.watchers.admit(stopping.set))
            with job_errors_as_http():
                watching = jobs.watch(checked_id(job_id), owner_of(request))
                first = await anext(watching)
            timeout = self._settings.send_timeout_seconds
            events = _events(first, watching, stopping)
            return EventStream(events, stack.pop_all(), headers={}, send_timeout=timeout)
        raise AssertionError("unreachable")  # no context here swallows an exception


async def _events(
    first: JobTranscript,
    watching: AsyncGenerator[JobTranscript, None],
    stopping: asyncio.Event,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """Yield `segment` for new text, `job` for each change, and `error` if the watch ends before the job.

    stopping: ends the events
    """
    async with aclosing(watching):
        change: JobTranscript | None = first
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            while change is not None:
                for segment in segment_objects(change.segments):
                    yield _event("segment", segment)
                yield _event("job", job_object(change.job))
                following = asyncio.ensure_future(_next(watching))
                try:
                    while not following.done():
                        if stopped.done():
                            raise http_error_of(restarting())
                        await asyncio.wait(
                            [following, stopped],
                            timeout=keep_alive_seconds,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                        if not following.done() and not stopped.done():
                            yield KEEP_ALIVE
                    change = following.result()
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
        except ApiError as error:
            yield encoded_event(error.as_body()["error"], "error")
        finally:
            stopped.cancel()


async def _next(watching: AsyncGenerator[JobTranscript, None]) -> JobTranscript | None:
    """Return the next change; None if the job has ended. Raises ApiError."""
    with job_errors_as_http():
        return await anext(watching, None)


def _event(kind: str, data: BaseModel) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data.model_dump_json().encode())
