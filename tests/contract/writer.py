"""A process that writes until it is killed: each acknowledged record is told on standard output.

``python -m tests.contract.writer FILE SEED``: it takes over what is there and goes on.
"""

import os
import random
import sys
import threading
from pathlib import Path

from routilux.journal import JournalRecord
from routilux.storage.journal_store import JournalStore
from routilux.storage.sqlite import open_sqlite

JOBS = tuple(f"job {number}" for number in range(6))


def payload_of(job_id: str, seq: int) -> bytes:
    """What each record must hold."""
    return f"{job_id} {seq} ".encode() * (1 + seq % 40)


def write_for_ever(store: JournalStore, job_id: str, seq: int, epoch: int, dice: random.Random) -> None:
    """Write record after record, each behind the acknowledgement of the one before; now and then a snapshot."""
    wake = threading.Semaphore(0)

    def done(error: Exception | None) -> None:
        assert error is None, error
        os.write(1, f"{job_id}:{seq}\n".encode())
        wake.release()

    while True:
        seq += 1
        store.submit(JournalRecord(job_id, seq, epoch, "commit", payload_of(job_id, seq)), done)
        wake.acquire()
        if dice.random() < 0.02:
            store.save_snapshot(job_id, seq, payload_of(job_id, seq), trim=dice.random() < 0.8)


def main(path: Path, seed: int) -> None:
    """Go on with what is there."""
    dice = random.Random(seed)
    store = open_sqlite(path)
    held = {header.job_id: (header.seq, header.epoch) for header in store.take_over()}
    for job_id in JOBS:
        if job_id not in held:
            held[job_id] = (0, store.create_job(job_id, "flow", "running"))
    for job_id, (seq, epoch) in held.items():
        own = random.Random(dice.random())
        threading.Thread(target=write_for_ever, args=(store, job_id, seq, epoch, own), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
