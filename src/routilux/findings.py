"""What a check found, and the list of all that can be found.

Design: §2.5. `docs/reference/findings.md` shows the same list with remedies; a test compares the two.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors keep a flow from running; warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: a stable code, how bad it is, where, what, and what to do."""

    code: str
    severity: Severity
    place: str
    problem: str
    fix: str

    @property
    def is_error(self) -> bool:
        """Whether the flow cannot run."""
        return self.severity is Severity.ERROR

    def to_dict(self) -> dict[str, str]:
        """Give plain data for tools."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "place": self.place,
            "problem": self.problem,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        return f"{self.code} {self.severity} at {self.place}: {self.problem}; {self.fix}"


KINDS = {
    "R001": "a routine without a logic",
    "R002": "a logic that does not fit its slots",
    "R003": "a connection of an unknown routine",
    "R004": "a connection to an unknown slot",
    "R005": "a connection of an undeclared event",
    "R006": "a policy that names a slot its routine lacks",
    "R007": "a policy that can never activate",
    "R008": "a gather whose fan-out cannot be told",
    "R100": "a flow without routines",
    "R101": "a slot that nothing feeds",
    "R102": "a number that never fits into its slots",
    "R103": "a cycle that nothing starts",
    "R104": "a cycle that waits for its own items",
    "R105": "a join with one slot that nothing feeds",
    "R106": "a join behind a branch that may never deliver",
    "R107": "a join whose branches can block each other",
    "R108": "a growing cycle of bounded slots",
    "R109": "rates that cannot balance",
    "R110": "a fed slot that is never taken from",
    "R111": "keyed memory without bound",
    "R112": "a remainder that fails the job",
    "R113": "a policy that waits for items where there are no slots",
    "R114": "a gather that may mean several fan-outs",
    "R201": "a part that is never reached",
    "R202": "a part that is never ready by itself",
    "R203": "a time that never matters",
    "R204": "keys of a policy that does not go by items",
    "R205": "a part that drops what another waits for",
    "R206": "a policy that could not say what it needs",
}
"""Every finding by its code: R0.. errors, R1.. warnings about a flow, R2.. about how a policy is composed."""


def found(code: str, place: str, problem: str, fix: str) -> Finding:
    """Make a finding; its code says how bad it is."""
    return Finding(code, Severity.ERROR if code.startswith("R0") else Severity.WARNING, place, problem, fix)
