"""Buckets of InfluxDB 2.x, through influxdb-client: the only file that imports it.

Not run against a 2.x server by our tests: no package registry carries one.
"""

from __future__ import annotations

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from collector.errors import StoreBusy, StoreRefuses
from collector.store.influx_connection import InfluxSettings
from metering.secret_file import read_secret

_MISCONFIGURED = (401, 403, 404)


def create_bucket(settings: InfluxSettings) -> None:
    """Create the bucket unless it exists.

    Raises:
        StoreBusy: the server cannot be reached.
        StoreRefuses: the token may not do that, or the organisation is unknown.
    """
    token = read_secret(settings.token_file) if settings.token_file else ""
    try:
        with InfluxDBClient(str(settings.url), token=token, org=settings.organisation) as client:
            buckets = client.buckets_api()
            if buckets.find_bucket_by_name(settings.database) is None:
                buckets.create_bucket(bucket_name=settings.database, org=settings.organisation)
    except ApiException as error:
        text = f"{settings.url}: bucket {settings.database}: {error.status} {error.reason}"
        if error.status in _MISCONFIGURED:
            raise StoreRefuses(text) from error
        raise StoreBusy(text) from error
    except (HTTPError, OSError) as error:
        raise StoreBusy(f"{settings.url}: {error}") from error
