"""Doubles for your own tests: a clock that stands still, a runtime on one thread that steps at random, a recorder.

Same seed, same run, to the last record of the history.

>>> from routilux import Flow, Routine, time_interval_policy
>>> flow = Flow("ticks")
>>> ticks = Routine("ticks").set_logic(lambda items, job_state: job_state.append_shared_data("seen", items))
>>> _ = flow.add_routine(ticks.set_activation_policy(time_interval_policy(60)))
>>> sim = SimRuntime(seed=7)
>>> job = sim.exec(flow, keep_open=True)
>>> for n in range(3):
...     sim.post(job.job_id, "ticks", "items", n)
...     _ = sim.run_until_idle()
>>> job.get_shared_data("seen")
[[0]]
>>> sim.advance(60)
>>> job.get_shared_data("seen")
[[0], [1, 2]]
"""

from routilux.testing.manual_clock import ManualClock
from routilux.testing.marbles import Picture, PictureError, check_picture, pictures_in, run_picture
from routilux.testing.recorder import Recorder
from routilux.testing.sim import SimRuntime
from routilux.testing.step_dispatcher import StepDispatcher

__all__ = [
    "ManualClock",
    "Picture",
    "PictureError",
    "Recorder",
    "SimRuntime",
    "StepDispatcher",
    "check_picture",
    "pictures_in",
    "run_picture",
]
