"""What the gate of a run lets through."""

from enum import Enum


class Mode(Enum):
    """OPEN lets activations start; every other mode keeps cells at the gate, or ends them."""

    OPEN = "open"
    FROZEN = "frozen"  # for a picture
    PAUSED = "paused"  # or on the way there
    STOPPING = "stopping"
    OVER = "over"
