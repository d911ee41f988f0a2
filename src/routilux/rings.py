"""Finding what lies around the core: modules that are loaded by name when they are first needed.

Design: §9. The core imports no ring; this is the one place that loads them.
"""

from importlib import import_module
from types import ModuleType


def load(module: str) -> ModuleType:
    """Load a module of a ring."""
    return import_module(module)
