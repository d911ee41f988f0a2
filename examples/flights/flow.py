"""A month of flights: who leaves late, and is it the rain?

    flights --rows--> triage --departed--> match --matched, unmatched--> tally --tallied--> report
    weather --rows---------------------------^                                                ^
                      triage --cancelled------------------------------------------------------|
                      triage --departed--> carriers --ranked----------------------------------|
    airlines --names-------------------------^

A file for `routilux run`: it holds `flow`, and says which arguments it takes and how to show what comes out.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from flight_data import TABLES, count_rows, rows_of, weather_rows

from routilux import Flow, JobState, Routine, Slot, batch_size_policy
from routilux.policies import join_policy

CHUNK = 500  # rows per item of a source
BATCH = 25  # groups of flights per tally
HOURS = 100_000  # of weather that are kept, over all airports
BULK = 50  # items that are worth an activation of a step that adds up

Decision = tuple[bool, dict[str, list[Any]], Any]
Flight = tuple[str, str, str, float | None]  # origin, hour, carrier, delay; None is cancelled
Group = tuple[str, str, list[tuple[str, float]]]  # origin, hour, (carrier, delay) of each departure
WeatherRow = tuple[str, str, float | None]  # origin, hour, precipitation
Joined = tuple[str, list[float], str]  # origin, delays, "wet", "dry", "unknown" or "unmatched"
Totals = dict[str, dict[str, float]]  # by origin or carrier: sums by name


def read_flights(*, job_state: JobState, routine: Routine) -> Iterator[None]:
    """Emit the flights in chunks; each yield is a place where the job can be paused, stored and resumed."""
    folder, done = Path(job_state.params["data"]), job_state.boundary
    if not done:
        routine.set_state(job_state, "total", count_rows(folder, "flights"))
    rows = (tuple(values) for _, values in rows_of(folder, "flights"))
    for chunk in islice(chunks_of(rows), done, None):
        routine.emit("rows", chunk)
        yield


def read_weather(*, job_state: JobState, routine: Routine) -> Iterator[None]:
    folder = Path(job_state.params["data"])
    for chunk in islice(chunks_of(weather_rows(folder)), job_state.boundary, None):
        for row in chunk:
            routine.emit("rows", row)
        yield


def chunks_of(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def read_airlines(*, job_state: JobState, routine: Routine) -> None:
    routine.emit("names", {code: name for _, (code, name) in rows_of(Path(job_state.params["data"]), "airlines")})


def triage(rows: list[list[Flight]], *, routine: Routine) -> None:
    """Part the cancelled from the departed, and put together what left one airport in one hour."""
    for chunk in rows:
        departed: dict[tuple[str, str], list[tuple[str, float]]] = {}
        cancelled: Totals = {}
        for origin, time_hour, carrier, delay in chunk:
            if delay is None:
                cancelled.setdefault(origin, {"cancelled": 0})["cancelled"] += 1
            else:
                departed.setdefault((origin, time_hour), []).append((carrier, delay))
        for (origin, time_hour), flights in departed.items():
            routine.emit("departed", (origin, time_hour, flights))
        if cancelled:
            routine.emit("cancelled", cancelled)


def hour_at_airport(item: Group | WeatherRow) -> tuple[str, ...]:
    return item[:2]


def match(flights: list[Group], weather: list[WeatherRow], *, routine: Routine) -> None:
    """Say what the weather was when these flights left; there is none that is known if the list is empty."""
    for origin, _, departures in flights:
        delays = [delay for _, delay in departures]
        if weather:
            routine.emit("matched", (origin, delays, wetness(weather[0][2])))
        else:
            routine.emit("unmatched", (origin, delays, "unmatched"))


def wetness(precipitation: float | None) -> str:
    if precipitation is None:
        return "unknown"
    return "wet" if precipitation > 0 else "dry"


def added(totals: Totals, *parts: Totals) -> Totals:
    """Sum up, in a new dict: values in a job's state are replaced, never changed."""
    result = {key: dict(sums) for key, sums in totals.items()}
    for part in parts:
        for key, sums in part.items():
            mine = result.setdefault(key, {})
            for name, value in sums.items():
                mine[name] = mine.get(name, 0) + value
    return result


def tally(joined: list[Joined], *, routine: Routine) -> None:
    """Sum up a batch of groups by airport."""
    parts: list[Totals] = []
    for origin, delays, weather in joined:
        count, delay = len(delays), sum(delays)
        parts.append({origin: {"departures": count, "delay": delay, weather: count, f"{weather}_delay": delay}})
    routine.emit("tallied", added({}, *parts))


def bulk_policy(slots: Mapping[str, Slot], job_state: JobState) -> Decision:
    """Take what came once it is much; when all inputs have ended, take the rest and say that this is the end."""
    is_end = all(slot.is_closed for slot in slots.values())
    if is_end and job_state.get_routine_state(job_state.current_routine_id or "", "is_done"):
        return False, {}, None
    if not is_end and sum(slot.get_unconsumed_count() for slot in slots.values()) < BULK:
        return False, {}, None
    return True, {name: slot.consume_all_new() for name, slot in slots.items()}, "end" if is_end else "more"


def rank_carriers(
    departed: list[Group], names: list[dict[str, str]], *, job_state: JobState, routine: Routine, policy_message: str
) -> None:
    part: Totals = {}
    for carrier, delay in (departure for _, _, departures in departed for departure in departures):
        sums = part.setdefault(carrier, {"flights": 0, "delay": 0})
        sums["flights"] += 1
        sums["delay"] += delay
    totals = added(routine.get_state(job_state, "totals", {}), part)
    known = {code: name for part in [routine.get_state(job_state, "names", {}), *names] for code, name in part.items()}
    routine.update_state(job_state, {"totals": totals, "names": known, "is_done": policy_message == "end"})
    if policy_message == "end":
        worst = sorted(totals, key=lambda carrier: (-totals[carrier]["delay"] / totals[carrier]["flights"], carrier))
        routine.emit("ranked", [ranked(carrier, known, totals[carrier]) for carrier in worst[:5]])


def ranked(carrier: str, names: Mapping[str, str], sums: Mapping[str, float]) -> dict[str, Any]:
    return {
        "carrier": carrier,
        "name": names.get(carrier, carrier),
        "flights": int(sums["flights"]),
        "mean_delay_minutes": mean(sums, "delay", "flights"),
    }


def mean(sums: Mapping[str, float], total: str, count: str) -> float | None:
    return round(sums[total] / sums[count], 2) if sums.get(count) else None


def report(
    tallied: list[Totals],
    cancelled: list[Totals],
    worst: list[list[dict[str, Any]]],
    *,
    job_state: JobState,
    routine: Routine,
    policy_message: str,
) -> None:
    totals = added(routine.get_state(job_state, "totals", {}), *tallied, *cancelled)
    ranking = worst[0] if worst else routine.get_state(job_state, "worst", [])
    routine.update_state(job_state, {"totals": totals, "worst": ranking, "is_done": policy_message == "end"})
    if policy_message == "end":
        job_state.set_result(reported(totals, ranking))


def reported(totals: Totals, worst: list[dict[str, Any]]) -> dict[str, Any]:
    def count(*names: str) -> int:
        return int(sum(sums.get(name, 0) for sums in totals.values() for name in names))

    return {
        "flights": count("departures", "cancelled"),
        "departures": count("departures"),
        "cancelled": count("cancelled"),
        "matched": count("wet", "dry", "unknown"),
        "unmatched": count("unmatched"),
        "by_origin": {origin: by_origin(totals[origin]) for origin in sorted(totals)},
        "worst_carriers": worst,
    }


def by_origin(sums: Mapping[str, float]) -> dict[str, Any]:
    return {
        "departures": int(sums.get("departures", 0)),
        "cancelled": int(sums.get("cancelled", 0)),
        "mean_delay_minutes": mean(sums, "delay", "departures"),
        "wet_flights": int(sums.get("wet", 0)),
        "mean_delay_wet_minutes": mean(sums, "wet_delay", "wet"),
        "mean_delay_dry_minutes": mean(sums, "dry_delay", "dry"),
    }


weather_join = join_policy(hour_at_airport, build="weather", max_keys=HOURS)
flow = Flow("flights", on_leftover="fail")


def step(name: str, logic: Callable[..., Any], **slot_lengths: int) -> Routine:
    """Make a routine whose effects take place together, so that nothing is counted twice after an interruption."""
    routine = Routine(name, atomic=True).set_logic(logic)
    for slot, length in slot_lengths.items():
        routine.add_slot(slot, max_queue_length=length)
    flow.add_routine(routine, name)
    return routine


step("flights", read_flights)
step("weather", read_weather)
step("airlines", read_airlines)
step("triage", triage, rows=8)
step("match", match, flights=500, weather=500).set_activation_policy(weather_join)
step("tally", tally, joined=500).set_activation_policy(batch_size_policy(BATCH, at_end="fire"))
step("carriers", rank_carriers, departed=500, names=1).set_activation_policy(bulk_policy)
step("report", report, tallied=100, cancelled=100, worst=1).set_activation_policy(bulk_policy)

flow.connect("flights", "rows", "triage", "rows")
flow.connect("triage", "departed", "match", "flights")
flow.connect("weather", "rows", "match", "weather")
flow.connect("match", "matched", "tally", "joined")
flow.connect("match", "unmatched", "tally", "joined")
flow.connect("triage", "departed", "carriers", "departed")
flow.connect("airlines", "names", "carriers", "names")
flow.connect("tally", "tallied", "report", "tallied")
flow.connect("triage", "cancelled", "report", "cancelled")
flow.connect("carriers", "ranked", "report", "worst")


def add_arguments(parser: ArgumentParser) -> None:
    default = Path(__file__).resolve().parent / "data"
    parser.add_argument("--data", metavar="DIR", default=str(default), help="folder with flights, weather and airlines")


def params(args: Namespace) -> dict[str, Any]:
    """Look at the files now, so that a wrong folder or file is told before a job exists."""
    folder = Path(args.data).expanduser().resolve()
    for table in TABLES:
        next(rows_of(folder, table), None)
    return {"data": str(folder)}


def progress(job_state: JobState) -> tuple[int, int | None]:
    totals: Totals = job_state.get_routine_state("report", "totals") or {}
    done = sum(sums.get("departures", 0) + sums.get("cancelled", 0) for sums in totals.values())
    return int(done), job_state.get_routine_state("flights", "total")


def show(result: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[Any]]]]:
    counts = ["flights", "departures", "cancelled", "matched", "unmatched"]
    delays = ["airport", "departures", "cancelled", "delay", "in the wet", "delay wet", "delay dry"]
    airports = [[origin, *facts.values()] for origin, facts in result["by_origin"].items()]
    carriers = [list(carrier.values()) for carrier in result["worst_carriers"]]
    return [
        ("Flights", counts, [[result[name] for name in counts]]),
        ("Mean departure delay in minutes", delays, airports),
        ("The carriers that leave latest", ["carrier", "name", "flights", "delay"], carriers),
    ]
