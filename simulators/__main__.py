"""``python -m simulators`` is ``wattline-sim``."""

from simulators.cli import main

main()
