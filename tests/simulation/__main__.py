"""Play seeds by hand: ``python -m tests.simulation 17``, or ``python -m tests.simulation 0 5000`` for a range."""

import sys
import traceback
from dataclasses import asdict

from tests.simulation.drawing import draw
from tests.simulation.driving import World, check_seed, listening


def tell(seed: int) -> None:
    """Play one seed and print its plan, and what its jobs remember."""
    plan = draw(seed)
    for step in plan.steps:
        print({name: value for name, value in asdict(step).items() if value})
    for link in plan.links:
        print(*link)
    print({name: value for name, value in asdict(plan).items() if name not in ("steps", "links", "moves")})
    world = World(plan)
    world.tell = print
    try:
        with listening():
            world.play()
    finally:
        for member in world.members:
            print(f"--- {member.job!r} of runtime {member.runtime.seed}: {member.job.error}")
            for record in member.job.execution_history:
                print("  ", record.timestamp.time(), record.routine_id, record.event_name, record.data)
            for routine_id, state in member.job.routine_states.items():
                print("  ", routine_id, state)
            print("  ", member.job.leftovers, member.job.drops)


def main(arguments: list[str]) -> int:
    numbers = [int(argument) for argument in arguments]
    if len(numbers) == 1:
        tell(numbers[0])
        check_seed(numbers[0])
        return 0
    failed = 0
    for seed in range(*numbers):
        try:
            check_seed(seed)
        except Exception as error:
            failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(
                f"{seed}: {type(error).__name__}: {str(error)[:300]}  [{where.filename.rsplit('/', 1)[-1]}:{where.lineno}]"
            )
    print(f"{failed} of {len(range(*numbers))} seeds failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
