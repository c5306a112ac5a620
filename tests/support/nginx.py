"""A v2 path in front of InfluxDB 1.x: nginx rewrites ``/api/v2/write`` to the real engine's ``/write``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import Influxd, Server, program

_CONFIG = """
pid {folder}/nginx.pid; error_log {folder}/error.log warn; master_process off; daemon off;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 64m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $arg_bucket $database {{ default $arg_bucket; "~^(?<a>[^/%]+)(?:/|%2F)(?<b>.+)$" $a; }}
  map $arg_precision $unit {{ default $arg_precision; "us" "u"; "" "ns"; }}
  server {{
    listen 127.0.0.1:{port};
    location = /api/v2/write {{
      rewrite ^ /write?db=$database&precision=$unit? break;
      proxy_set_header Authorization ""; proxy_pass http://127.0.0.1:{influx_port};
    }}
    location / {{ proxy_pass http://127.0.0.1:{influx_port}; }}
  }}
}}
"""


@dataclass
class V2Path(Server):
    """nginx in front of one influxd."""

    influx: Influxd | None = None

    def command(self) -> list[str]:
        assert self.influx is not None
        config = Path(self.folder) / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self.folder, port=self.port, influx_port=self.influx.port))
        return [program("nginx"), "-p", str(self.folder), "-c", str(config)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
