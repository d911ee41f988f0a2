"""FlowRegistry: flows by name, for all of a process.

Design: §2.6.
"""

import threading

from routilux.errors import BadTypeError, BadValueError, DuplicateNameError, FlowNotFoundError
from routilux.flow import Flow


class FlowRegistry:
    """Flows by unique name. Thread-safe. `get_instance` gives the one that runtimes use by default."""

    _instance: "FlowRegistry | None" = None
    _instance_lock = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _flows
        self._flows: dict[str, Flow] = {}

    @classmethod
    def get_instance(cls) -> "FlowRegistry":
        """Give the registry that the whole process shares."""
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    def register(self, name: str, flow: Flow) -> None:
        """Check a flow, freeze it and keep it under a name.

        Raises:
            DuplicateNameError: the name is taken (a ValueError).
            InvalidFlowError: the flow cannot run; all findings are listed.
            TypeError: it is no Flow.
        """
        if not isinstance(flow, Flow):
            raise BadTypeError(f"register takes a Flow, not {flow!r}")
        if not isinstance(name, str) or not name:
            raise BadValueError(f"a flow is registered under a non-empty name, not {name!r}")
        with self._lock:
            if name in self._flows:
                raise DuplicateNameError("flow", name, "unregister it first, or choose another name")
        flow.freeze()
        with self._lock:
            if name in self._flows:
                raise DuplicateNameError("flow", name, "unregister it first, or choose another name")
            self._flows[name] = flow

    def get(self, name: str) -> Flow | None:
        """Give a flow by its name, or None."""
        with self._lock:
            return self._flows.get(name)

    def find(self, name: str) -> Flow:
        """Give a flow by its name.

        Raises:
            FlowNotFoundError: none is registered under it.
        """
        with self._lock:
            flow = self._flows.get(name)
            if flow is None:
                raise FlowNotFoundError(name, sorted(self._flows))
            return flow

    def list_all(self) -> list[str]:
        """Give all names."""
        with self._lock:
            return list(self._flows)

    def unregister(self, name: str) -> bool:
        """Forget a flow; jobs that run it go on. False if there is none."""
        with self._lock:
            return self._flows.pop(name, None) is not None


flow_registry = FlowRegistry.get_instance()
