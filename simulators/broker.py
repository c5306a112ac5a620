"""The demo's MQTT broker: amqtt in a process of its own. ``python -m simulators.broker PORT``.

It needs no installation and no root, speaks MQTT 3.1.1 and keeps nothing. For demonstrations and tests only.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from amqtt.broker import Broker

_PLUGINS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


async def serve(port: int) -> None:
    """Listen on the loopback address until SIGTERM or SIGINT.

    Raises:
        BrokerError: the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": _PLUGINS})
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """Serve on the port of the command line; amqtt reports much that is no news, so only errors are logged."""
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    # Whoever only looks whether the port is open is no error.
    logging.getLogger("amqtt.broker").addFilter(lambda record: not record.getMessage().startswith("No data from"))
    asyncio.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
