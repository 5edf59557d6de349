"""Consumes events of testmo-courier, each once, however often it is sent.

    AMQP_URL=amqp://user:password@host/vhost python3 consume.py [QUEUE [SEEN]]

QUEUE is the durable queue, "my-generator.events" by default; SEEN is the file that keeps the ids of events.
"""

import json
import os
import sqlite3
import sys

import pika

EXCHANGE = "testmo.events"
PREFIX = "com.sqai-suite.testmo."


def handle(event: dict) -> str:
    """Returns what is printed about an event. Do your own work here."""
    data = event["data"]
    kind = event["type"].removeprefix(PREFIX)
    if kind in ("batch.delivered.v1", "batch.partially_delivered.v1", "batch.failed.v1"):
        links = [case["link"] for case in data["cases"] if "link" in case]
        return f"{data['outcome']} {data['batch_id']}: {len(links)} of {len(data['cases'])} cases"
    if kind == "batch.deferred.v1":
        return f"deferred {data['batch_id']}: {data['reason']}"
    if kind == "message.invalid.v1":
        return f"invalid message: {data['reason']}"
    # New types of events may be added at any time.
    return f"ignored {kind}"


def main() -> None:
    queue = sys.argv[1] if len(sys.argv) > 1 else "my-generator.events"
    seen = sqlite3.connect(sys.argv[2] if len(sys.argv) > 2 else "seen-events.db")
    seen.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # A durable queue keeps events while this program is stopped. Bind it before the first batch is published.
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(queue, EXCHANGE, "#")
    # At most so many events are in hand without an acknowledgement.
    channel.basic_qos(prefetch_count=20)

    def on_message(channel, method, _properties, body) -> None:
        event = json.loads(body)
        # One transaction: an event is seen if its work is done, and acknowledged after that.
        with seen:
            is_new = seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["id"],)).rowcount == 1
            print(handle(event) if is_new else f"again {event['id']}", flush=True)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, on_message)
    print("ready", flush=True)
    channel.start_consuming()


if __name__ == "__main__":
    main()
