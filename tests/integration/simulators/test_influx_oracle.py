from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from simulators.oracle import judge, stored_in_influx
from simulators.stack import Stack

AT = 1_781_700_000_000
LINES = f"""reading,gateway=g-1,meter=a,origin=live active_power=1 {AT}
reading,gateway=g-1,meter=a,origin=live active_power=2 {AT}
reading,gateway=g-1,meter=a,origin=live active_power=3 {AT + 1}
reading,gateway=g-1,meter=a,origin=backfill active_power=3 {AT + 1}
reading,gateway=g-1,meter=b,origin=live active_energy_import=1 {AT}
other,gateway=g-1,meter=c active_power=1 {AT}"""


def write(url: str) -> None:
    with urlopen(Request(f"{url}/write?db=wattline&precision=ms", LINES.encode())) as answer:
        assert answer.status == 204


@pytest.mark.servers
async def test_what_a_real_influxdb_holds(tmp_path: Path) -> None:
    async with Stack(tmp_path, "servers") as stack:
        await stack.start_store()
        url = stack.services.influx_url
        assert url is not None
        write(url)
        stored = stored_in_influx(url, "wattline")
        nothing = stored_in_influx(url, "wattline_of_somebody_else")

    assert stored == {("g-1", "a", AT): 1, ("g-1", "a", AT + 1): 2, ("g-1", "b", AT): 1}
    assert judge({("g-1", "a", AT), ("g-1", "c", AT)}, stored).missing == (("g-1", "c", AT),)
    assert not nothing
