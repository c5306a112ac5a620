"""What stands between a meter's terminals and the primary side: the ratios of its transformers."""

from __future__ import annotations

from metering.quantity import QUANTITIES


def transformer_ratio(quantity: str, ct_ratio: float, pt_ratio: float) -> float:
    """What the meter's value must be multiplied with to stand for the primary side.

    Current goes with the CT, voltage with the PT, power and energy with both.

    >>> transformer_ratio("active_energy_import", 40, 10)
    400
    """
    unit = QUANTITIES[quantity].unit
    if unit == "A":
        return ct_ratio
    if unit == "V":
        return pt_ratio
    return ct_ratio * pt_ratio if unit.startswith("k") else 1
