"""How would one write the job with FastStream and aiohttp? A subscriber, a publisher, and the default channel.

The connector bounds how many requests are under way, and aiohttp-retry tries again what was answered 5xx.
"""

import asyncio
import os

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from testmo import delivered, event_key, push

HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}", "Accept": "application/json"}

broker = RabbitBroker(
    os.environ["AMQP_URL"],
    default_channel=Channel(prefetch_count=int(os.environ["PREFETCH"])),  # with publisher confirms
    logger=None,
)
app = FastStream(broker, logger=None)
queue = RabbitQueue(os.environ["CASES_QUEUE"], declare=False)
events = broker.publisher(
    exchange=RabbitExchange(os.environ["EVENTS_EXCHANGE"], type=ExchangeType.TOPIC, declare=False), persist=True
)
client: RetryClient | None = None


@app.on_startup
async def open_client() -> None:
    global client
    retry = ExponentialRetry(attempts=5, statuses={500, 502, 503, 504}, methods={"POST"}, retry_all_server_errors=False)
    connector = aiohttp.TCPConnector(limit=int(os.environ["IN_FLIGHT"]))
    client = RetryClient(connector=connector, headers=HEADERS, retry_options=retry)


@app.after_shutdown
async def close_client() -> None:
    await client.close()


@broker.subscriber(queue, ack_policy=AckPolicy.NACK_ON_ERROR)
async def deliver(batch: dict) -> None:
    async with client.post(os.environ["CASES_URL"], json=push(batch)) as response:
        response.raise_for_status()
        created = await response.json()
    await events.publish(delivered(batch, created), routing_key=event_key(batch))


if __name__ == "__main__":
    asyncio.run(app.run())
