"""The timer of a policy that asked to be asked again.

Design: §4.4.
"""

from typing import Any


def arm(cell: Any) -> None:
    """Set the timer that the policy asked for last, and count it as work while it keeps the job alive."""
    record = cell.record
    run = cell.run
    with run.lock:
        wake = record.wake
        if wake is not None and cell.clock_ended and not record.waiting:
            wake = record.wake = None
        armed = cell.armed
        if armed is not None and (wake is None or armed[0] != wake[0]):
            armed[2].cancel()
            cell.armed = armed = None
        if wake is not None and armed is None:
            cell.armed = (wake[0], wake[1], run.at(wake[0], lambda: _timer_due(cell)))
        keeps = wake is not None and (wake[1] or record.waiting > 0)
        if keeps and not cell.keeps_alive:
            run.work.append(None)
        release = cell.keeps_alive and not keeps
        cell.keeps_alive = keeps
    if release:
        run.release_work()


def _timer_due(cell: Any) -> None:
    run = cell.run
    with run.lock:
        if cell.armed is None or cell.record.wake is None or cell.armed[0] > cell.ticks():
            return
        cell.armed = cell.record.wake = None
        cell.nudge()
        release, cell.keeps_alive = cell.keeps_alive, False
    if release:
        run.release_work()
