"""The door of `python -m routilux`."""

import sys

from routilux.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
