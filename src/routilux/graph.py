"""The little graph theory that a flow needs: components in topological order.

networkx costs a third of a second to import and graphlib refuses cycles, so it stands here.
"""

from collections.abc import Iterable, Mapping, Sequence


def components(nodes: Sequence[str], edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Give the strongly connected components, feeders before those they feed.

    Iterative, so that a chain of a million nodes needs no deep stack.
    Source: R. Tarjan, Depth-first search and linear graph algorithms, 1972.
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in nodes:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(tuple(edges.get(root, ()))))]
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in order:
                    order[target] = low[target] = len(order)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(tuple(edges.get(target, ())))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    found.append(_pop_component(node, stack, on_stack))
    found.reverse()
    return found


def _pop_component(root: str, stack: list[str], on_stack: set[str]) -> list[str]:
    component: list[str] = []
    while True:
        node = stack.pop()
        on_stack.discard(node)
        component.append(node)
        if node == root:
            component.reverse()
            return component


def reachable(starts: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Give every node that can be reached from the starts, these included."""
    seen = set(starts)
    work = list(seen)
    while work:
        for target in edges.get(work.pop(), ()):
            if target not in seen:
                seen.add(target)
                work.append(target)
    return seen


ROOT = ""


def dominators(nodes: Sequence[str], edges: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Give the nearest dominator of each node: the last one that every way to it must pass. `ROOT` is above all.

    Ways begin at the nodes that nothing leads to; where there are none, as in a circle, at its first.
    Source: K. Cooper, T. Harvey, K. Kennedy, A Simple, Fast Dominance Algorithm, 2001.
    """
    order = _finished(nodes, edges)
    place = {node: number for number, node in enumerate(order)}
    place[ROOT] = len(order)
    feeders: dict[str, list[str]] = {node: [] for node in order}
    for node in order:
        for target in edges.get(node, ()):
            feeders[target].append(node)
    nearest: dict[str, str] = {ROOT: ROOT}
    for node in _beginnings(nodes, edges):
        feeders[node].append(ROOT)
    changed = True
    while changed:
        changed = False
        for node in reversed(order):
            known = [feeder for feeder in feeders[node] if feeder in nearest]
            found = known[0]
            for feeder in known[1:]:
                found = meet(found, feeder, nearest, place)
            if nearest.get(node) != found:
                nearest[node] = found
                changed = True
    del nearest[ROOT]
    return nearest


def meet(left: str, right: str, nearest: Mapping[str, str], place: Mapping[str, int]) -> str:
    """Give the nearest node that dominates both, or is both."""
    while left != right:
        if place[left] < place[right]:
            left = nearest[left]
        else:
            right = nearest[right]
    return left


def common_dominator(found: Sequence[str], nodes: Sequence[str], edges: Mapping[str, Iterable[str]]) -> str:
    """Give the nearest node that every way to any of these must pass, perhaps one of them; `ROOT` if there is none."""
    nearest = dominators(nodes, edges)
    chains = []
    for node in found:
        chain = [node]
        while chain[-1] != ROOT:
            chain.append(nearest[chain[-1]])
        chains.append(chain)
    others = [set(chain) for chain in chains[1:]]
    return next(node for node in chains[0] if all(node in other for other in others))


def _beginnings(nodes: Sequence[str], edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the nodes where ways begin: one of each component that no other leads to."""
    groups = components(nodes, edges)
    home = {node: number for number, group in enumerate(groups) for node in group}
    fed = {home[target] for node in nodes for target in edges.get(node, ()) if home[target] != home[node]}
    place = {node: number for number, node in enumerate(nodes)}
    return [min(group, key=place.__getitem__) for number, group in enumerate(groups) if number not in fed]


def _finished(nodes: Sequence[str], edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the nodes in the order in which a search in depth leaves them."""
    seen: set[str] = set()
    order: list[str] = []
    for root in _beginnings(nodes, edges):
        seen.add(root)
        work = [(root, iter(tuple(edges.get(root, ()))))]
        while work:
            node, targets = work[-1]
            following = next((target for target in targets if target not in seen), None)
            if following is None:
                order.append(node)
                work.pop()
            else:
                seen.add(following)
                work.append((following, iter(tuple(edges.get(following, ())))))
    return order
