"""The register images of real meters, one vendor a file, each written from the vendor's table."""

from __future__ import annotations

from typing import Final

from simulators.meter_images.abb import ABB_AB
from simulators.meter_images.acrel import ACREL_ADW300
from simulators.meter_images.carlo_gavazzi import CARLO_GAVAZZI_EM24, CARLO_GAVAZZI_EM340
from simulators.meter_images.chint import CHINT_DTSU666
from simulators.meter_images.eastron import EASTRON_SDM120, EASTRON_SDM230, EASTRON_SDM630
from simulators.meter_images.janitza import JANITZA_B23
from simulators.meter_images.schneider import SCHNEIDER_IEM3000
from simulators.meter_images.sunspec import SUNSPEC_METER

MODELS: Final = {
    image.model: image
    for image in (
        ABB_AB,
        ACREL_ADW300,
        CARLO_GAVAZZI_EM24,
        CARLO_GAVAZZI_EM340,
        CHINT_DTSU666,
        EASTRON_SDM120,
        EASTRON_SDM230,
        EASTRON_SDM630,
        JANITZA_B23,
        SCHNEIDER_IEM3000,
        SUNSPEC_METER,
    )
}
"""Every image by the name of the profile that the edge agent ships for it."""
