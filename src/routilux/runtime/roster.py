"""The roster: which jobs a runtime knows, which run, which wait for a place, and which ended lately.

Design: §2.4 (max_running_jobs), §5.5.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from routilux.errors import JobFinishedError, JobNotFoundError, JobStateError, RuntimeClosedError
from routilux.history import ExecutionStatus
from routilux.job import JobState
from routilux.runtime.job_run import JobRun

Begin = Callable[[], None]


class Roster:
    """The jobs of one runtime. Safe from any thread; runs are begun without its lock."""

    def __init__(self, keep_finished: int) -> None:
        self._keep_finished = keep_finished
        self._lock = threading.RLock()  # guards what follows
        self._changed = threading.Condition(self._lock)
        self._jobs: OrderedDict[str, JobState] = OrderedDict()  # all that are known, in order of their start
        self._unfinished: dict[str, JobRun] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()  # in order of their end, to forget the oldest
        self._active: dict[int, int] = {}  # running jobs per limited flow
        self._lines: dict[int, deque[tuple[JobRun, Begin]]] = {}
        self._closed = False

    # --- starting and ending --------------------------------------------------------------------------------

    def begin(self, run: JobRun, begin: Begin) -> None:
        """Take a run in and begin it, or let it wait until its flow has a place for one more.

        Raises:
            RuntimeClosedError: nothing is taken in any more.
        """
        most = run.plan.definition.max_running_jobs
        key = id(run.flow_object)
        job = run.job
        with self._lock:
            if self._closed:
                raise RuntimeClosedError
            job._host = run
            self._jobs[job.job_id] = job
            self._ended.pop(job.job_id, None)
            self._unfinished[job.job_id] = run
            if most is not None and self._active.get(key, 0) >= most:
                self._lines.setdefault(key, deque()).append((run, begin))
                job._set_status(ExecutionStatus.PENDING)
                begin = run.tell
            elif most is not None:
                self._active[key] = self._active.get(key, 0) + 1
                run.counted = True
        begin()

    def over(self, run: JobRun) -> None:
        """Hear that a run is over: free its place and begin the next in line. Without locks of the run."""
        with self._lock:
            job_id = run.job.job_id
            if self._unfinished.get(job_id) is run:
                del self._unfinished[job_id]
                self._ended[job_id] = None
                while len(self._ended) > self._keep_finished:
                    self._jobs.pop(self._ended.popitem(last=False)[0], None)
            begin = self._next_in_line(run) if run.counted else None
            self._changed.notify_all()
        if begin is not None:
            begin()

    def _next_in_line(self, run: JobRun) -> Begin | None:
        key = id(run.flow_object)
        begin = None
        run.counted = False
        self._active[key] -= 1
        line = self._lines.get(key)
        while line and begin is None:
            following, start = line.popleft()
            if not following.is_stopping:
                self._active[key] += 1
                following.counted = True
                begin = start
        if not line:
            self._lines.pop(key, None)
        if not self._active[key]:
            del self._active[key]
        return begin

    def close(self) -> None:
        """Take nothing in any more."""
        with self._lock:
            self._closed = True

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._closed

    # --- finding --------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> JobState | None:
        """Find a job, also one that ended lately."""
        with self._lock:
            return self._jobs.get(job_id)

    def job(self, job_id: str) -> JobState:
        """Find a job.

        Raises:
            JobNotFoundError: it is not known.
        """
        job = self.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    def jobs(self) -> list[JobState]:
        """Give all that are known, in order of their start."""
        with self._lock:
            return list(self._jobs.values())

    def live_run(self, job_id: str) -> JobRun | None:
        """Find the run of a known job; None if it has ended.

        Raises:
            JobNotFoundError: the job is not known.
        """
        job = self.job(job_id)
        run = self.unfinished(job_id)
        return None if job.status.is_final else run

    def run(self, job_id: str) -> JobRun:
        """Find the run of a job that has not ended.

        Raises:
            JobFinishedError: it has ended.
            JobNotFoundError: it is not known.
        """
        run = self.live_run(job_id)
        if run is None:
            raise JobFinishedError(job_id, f"has ended: it is {self.job(job_id).status}")
        return run

    def unfinished(self, job_id: str) -> JobRun | None:
        """Find a run that is not over."""
        with self._lock:
            return self._unfinished.get(job_id)

    def runs(self) -> list[JobRun]:
        """Give all runs that are not over."""
        with self._lock:
            return list(self._unfinished.values())

    def ahead_of(self, run: JobRun) -> int | None:
        """Tell how many wait before a run for a place; None if it does not wait."""
        with self._lock:
            line = self._lines.get(id(run.flow_object), ())
            return next((place for place, (waiting, _) in enumerate(line) if waiting is run), None)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until a predicate over the runs holds; it is looked at whenever a run ends."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def forget(self, job_id: str) -> None:
        """Forget a job that has ended.

        Raises:
            JobStateError: it has not ended.
            JobNotFoundError: it is not known.
        """
        job = self.job(job_id)
        with self._lock:
            if job_id in self._unfinished:
                raise JobStateError(job_id, f"is {job.status}; cancel it first")
            self._jobs.pop(job_id, None)
            self._ended.pop(job_id, None)
