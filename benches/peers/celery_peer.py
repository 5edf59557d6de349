"""How would one write the job with Celery and requests? A task that is acknowledged late, on greenlets.

The pool bounds how many requests are under way, urllib3 tries again what was answered 5xx, and the event is published
with Celery's own pool of producers, with confirms.
"""

import os

import requests
from celery import Celery
from kombu import Exchange, Queue
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from testmo import delivered, event_key, push

IN_FLIGHT = int(os.environ["IN_FLIGHT"])

app = Celery("celery_peer", broker=os.environ["AMQP_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_pool_limit=IN_FLIGHT,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_ignore_result=True,
    task_queues=[Queue(os.environ["CASES_QUEUE"], no_declare=True, queue_arguments={"x-queue-type": "quorum"})],
    worker_concurrency=IN_FLIGHT,
    # What waits is this times the concurrency.
    worker_prefetch_multiplier=max(1, int(os.environ["PREFETCH"]) // IN_FLIGHT),
    worker_enable_remote_control=False,
)
events = Exchange(os.environ["EVENTS_EXCHANGE"], type="topic", no_declare=True)

session = requests.Session()
session.headers.update({"Authorization": f"Bearer {os.environ['API_KEY']}", "Accept": "application/json"})
retry = Retry(total=4, backoff_factor=0.1, status_forcelist=[500, 502, 503, 504], allowed_methods=["POST"])
session.mount("http://", HTTPAdapter(max_retries=retry, pool_maxsize=IN_FLIGHT))


@app.task(name="deliver")
def deliver(batch: dict) -> None:
    response = session.post(os.environ["CASES_URL"], json=push(batch), timeout=60)
    response.raise_for_status()
    with app.amqp.producer_pool.acquire(block=True) as producer:
        producer.publish(
            delivered(batch, response.json()), exchange=events, routing_key=event_key(batch), delivery_mode=2
        )
