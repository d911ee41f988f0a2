"""Every finding about a flow, without running it.

Design: §2.5. What can be found stands in `findings`; policies are known by their `Demand` only.
"""

import logging
from collections.abc import Iterable

from routilux.checks import branches, cycles, demands, gathers, structure
from routilux.checks.view import FlowView
from routilux.definition import FlowDefinition
from routilux.findings import Finding

logger = logging.getLogger(__name__)

FINDINGS = "findings"
CHECKS = (
    structure.routines,
    demands.policies,
    structure.connections,
    cycles.starts,
    cycles.growth,
    branches.joins,
    gathers.origins,
)


def check(flow: FlowDefinition) -> list[Finding]:
    """Find everything at once, errors first; looked for once in each definition."""
    findings: tuple[Finding, ...] | None = flow.derived.get(FINDINGS)
    if findings is None:
        view = FlowView(flow)
        every = [finding for find in CHECKS for finding in find(view)]
        findings = flow.derived[FINDINGS] = tuple(sorted(every, key=lambda finding: not finding.is_error))
    return list(findings)


def log(flow_id: str, findings: Iterable[Finding]) -> None:
    """Write warnings to the log."""
    for finding in findings:
        logger.warning("flow %s: %s", flow_id, finding)
