"""Chat: people type one thought in several messages; the assistant waits until they pause, and answers once.

Each person has a pause of their own (`by_key`). Who never pauses is answered after 10 seconds (`max_wait_seconds`).
Run it: .venv/bin/python examples/chat.py

Half a minute passes at once, on a clock that is moved. With `Runtime()` in place of `SimRuntime()` it takes its time.
"""

import asyncio
from typing import Any, NamedTuple

from routilux import Flow, JobState, Routine, routine
from routilux.policies import debounce_policy
from routilux.testing import SimRuntime


class Message(NamedTuple):
    person: str
    text: str


CHAT = [  # seconds since the message before, who, what
    (0.0, Message("Ada", "hi")),
    (1.2, Message("Ada", "my order still has not come")),
    (0.4, Message("Ben", "hello?")),
    (0.9, Message("Ada", "it is number 4711")),
    (0.7, Message("Ben", "can I pay by invoice")),
    (9.0, Message("Cleo", "listen")),
    (2.0, Message("Cleo", "I ordered tea")),
    (2.5, Message("Cleo", "and cups")),
    (2.5, Message("Cleo", "and a kettle")),
    (2.5, Message("Cleo", "and a tray")),
    (2.0, Message("Cleo", "and nothing came")),
    (6.0, Message("Ada", "thanks!")),
]


@routine
async def people(*, routine: Routine) -> None:
    for pause, message in CHAT:
        await asyncio.sleep(pause)
        routine.emit("message", message)


@routine(policy=debounce_policy(3, max_wait_seconds=10).by_key("person"))
def assistant(messages: list[Message], *, job_state: JobState, policy_message: dict[str, Any]) -> None:
    reason = policy_message["message"]["reason"]
    print(f"{job_state.now():%M:%S}  to {policy_message['key']} ({reason}): I read your {len(messages)} message(s):")
    print(f"       {' / '.join(message.text for message in messages)}")


flow = Flow("chat").add_routine(people).add_routine(assistant).connect("people", "message", "assistant", "messages")

if __name__ == "__main__":
    with SimRuntime() as runtime:
        job = runtime.exec(flow)
        runtime.wait_for_job(job.job_id, timeout=2)
        print("After two seconds nobody has an answer yet, for a reason:")
        print(*str(job.explain("assistant")).split("; "), sep="\n  ")
        print()
        runtime.wait_for_job(job.job_id)
    print(job.status)
