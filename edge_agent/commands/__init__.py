"""The commands of ``wattline-edge``, one a file: they ask the rooms and print, and decide the exit status."""
