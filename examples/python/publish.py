"""Publishes a batch of generated test cases, and reports whether the broker has it.

    AMQP_URL=amqp://user:password@host/vhost python3 publish.py batch.json
"""

import os
import sys

import pika
from pika.exceptions import NackError, UnroutableError

EXCHANGE = "testmo.cases"


def main() -> int:
    with open(sys.argv[1], "rb") as file:
        body = file.read()
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # With confirms, a call of basic_publish returns once the broker has stored the message.
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    try:
        # mandatory: without a queue the message comes back, instead of vanishing.
        channel.basic_publish(EXCHANGE, "batch", body, properties, mandatory=True)
    except (UnroutableError, NackError) as error:
        print(f"The broker did not take the batch: {error!r}. Publish it again later.", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print("published", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
