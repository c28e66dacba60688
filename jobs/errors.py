"""Define the errors of jobs."""


class JobError(Exception):
    """Base of the errors of this package."""


class JobNotFound(JobError):
    """No job of the owner has this id: it never existed, was deleted, or its result has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id[:100]!r}: it never existed, or it was deleted or expired.")


class IdempotencyConflict(JobError):
    """The idempotency key was used for another request."""

    def __init__(self) -> None:
        super().__init__("This idempotency key was used for another request.")


class TooManyJobs(JobError):
    """A bound on unfinished jobs or on stored audio is reached."""


class JobFailure(JobError):
    """A job cannot succeed: another try would fail, too.

    code: name for programs
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TransientFailure(JobError):
    """A run of a job failed for a reason that may pass.

    code: name for programs, if every run of the job fails
    retry_after: seconds that the next run has to wait at least; None if that does not matter
    """

    def __init__(
        self, message: str, code: str = "failed_repeatedly", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class JobsUnavailable(JobError):
    """The database of jobs cannot be used at present."""


class StorageFull(JobError):
    """There is no space for the audio of another job."""
