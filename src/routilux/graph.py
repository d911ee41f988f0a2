"""The little graph theory that a flow needs: components in topological order.

networkx costs a third of a second to import and graphlib refuses cycles, so it stands here.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Node = TypeVar("Node", bound=Hashable)


def components(nodes: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> list[list[Node]]:
    """Give the strongly connected components, feeders before those they feed.

    Iterative, so that a chain of a million nodes needs no deep stack.
    Source: R. Tarjan, Depth-first search and linear graph algorithms, 1972.
    """
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    found: list[list[Node]] = []
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


def _pop_component(root: Node, stack: list[Node], on_stack: set[Node]) -> list[Node]:
    component: list[Node] = []
    while True:
        node = stack.pop()
        on_stack.discard(node)
        component.append(node)
        if node == root:
            component.reverse()
            return component


def reachable(starts: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Give every node that can be reached from the starts, these included."""
    seen = set(starts)
    work = list(seen)
    while work:
        for target in edges.get(work.pop(), ()):
            if target not in seen:
                seen.add(target)
                work.append(target)
    return seen


def cycles(nodes: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> list[list[Node]]:
    """Give the components that are cycles: of several nodes, or of one that feeds itself."""
    return [group for group in components(nodes, edges) if len(group) > 1 or group[0] in edges.get(group[0], ())]


class DominatorTree(Generic[Node]):
    """Who stands on every way to a node. Nodes of one cycle have the dominators of the whole cycle only.

    A question costs the logarithm of the depth: each node knows its parent, and one node far above.
    Source: E. W. Myers, An applicative random-access stack, 1983 (jump pointers).
    """

    def __init__(self, nodes: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> None:
        feeders: dict[Node, list[Node]] = {}
        for node, targets in edges.items():
            for target in targets:
                feeders.setdefault(target, []).append(node)
        self._parent: dict[Node | None, Node | None] = {None: None}
        self._jump: dict[Node | None, Node | None] = {None: None}
        self._depth: dict[Node | None, int] = {None: 0}
        for group in components(nodes, edges):
            inside = set(group)
            outer = [feeder for node in group for feeder in feeders.get(node, ()) if feeder not in inside]
            parent: Node | None = outer[0] if outer else None
            for feeder in outer[1:]:
                parent = self.nearest(parent, feeder)
            for node in group:
                self._hang(node, parent)

    def _hang(self, node: Node, parent: Node | None) -> None:
        depth, jump = self._depth, self._jump
        far = jump[parent]
        is_even = depth[parent] - depth[far] == depth[far] - depth[jump[far]]
        self._parent[node] = parent
        jump[node] = jump[far] if is_even else parent
        depth[node] = depth[parent] + 1

    def nearest(self, one: Node | None, other: Node | None) -> Node | None:
        """Give the nearest node that stands on every way to both; None if there is none."""
        low, high = sorted((one, other), key=self._depth.__getitem__)
        high = self._climb(high, lambda node: self._depth[node] < self._depth[low])
        while low != high:
            jumps = self._jump[low], self._jump[high]
            low, high = jumps if jumps[0] != jumps[1] else (self._parent[low], self._parent[high])
        return low

    def above(self, node: Node) -> Node | None:
        """Give the nearest node above this one that stands on every way to it; None if there is none."""
        return self._parent[node]

    def below(self, top: Node | None, node: Node) -> Node | None:
        """Give the node right below ``top`` that stands on every way from it to ``node``."""
        return self._climb(node, lambda found: self._depth[found] <= self._depth[top])

    def _climb(self, node: Node | None, is_too_high: Callable[[Node | None], bool]) -> Node | None:
        while node is not None and not is_too_high(self._parent[node]):
            node = self._parent[node] if is_too_high(self._jump[node]) else self._jump[node]
        return node
