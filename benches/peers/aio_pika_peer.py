"""How would one write the job with aio-pika and aiohttp? Callbacks run side by side, bounded by the prefetch count.

The connector bounds how many requests are under way, and aiohttp-retry tries again what was answered 5xx.
"""

import asyncio
import json
import os

import aio_pika
import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

from testmo import delivered, event_key, push

HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}", "Accept": "application/json"}


async def main() -> None:
    connector = aiohttp.TCPConnector(limit=int(os.environ["IN_FLIGHT"]))
    retry = ExponentialRetry(attempts=5, statuses={500, 502, 503, 504}, methods={"POST"}, retry_all_server_errors=False)
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection, RetryClient(connector=connector, headers=HEADERS, retry_options=retry) as client:
        channel = await connection.channel()  # with publisher confirms
        await channel.set_qos(prefetch_count=int(os.environ["PREFETCH"]))
        queue = await channel.get_queue(os.environ["CASES_QUEUE"])
        events = await channel.get_exchange(os.environ["EVENTS_EXCHANGE"])

        async def deliver(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process(requeue=True):
                batch = json.loads(message.body)
                async with client.post(os.environ["CASES_URL"], json=push(batch)) as response:
                    response.raise_for_status()
                    created = await response.json()
                event = aio_pika.Message(
                    json.dumps(delivered(batch, created)).encode(),
                    content_type="application/json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                await events.publish(event, routing_key=event_key(batch))

        await queue.consume(deliver)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
