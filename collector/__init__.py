"""The collector: stores the rounds of all gateways, runs the checks and feeds what they find."""

import os

# Matrices here are small: threads of the linear algebra would cost more than they bring, and disturb their neighbours.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
