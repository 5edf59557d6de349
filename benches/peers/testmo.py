"""What do the Python peers send and announce? The same request for a batch, and the same event."""

import os

FOLDER_ID = int(os.environ["FOLDER_ID"])
PRIORITIES = {"critical": 1, "high": 1, "normal": 2, "low": 3}


def push(batch: dict) -> dict:
    """The create request for all cases of a batch."""
    return {"cases": [entry(case) for case in batch["cases"]]}


def entry(case: dict) -> dict:
    return {
        "name": case["name"],
        "folder_id": FOLDER_ID,
        "custom_steps": [
            {"text1": step["action"], "text2": step.get("data"), "text3": step.get("expected"), "display_order": n}
            for n, step in enumerate(case["steps"], start=1)
        ],
        "custom_priority": PRIORITIES[case["priority"]],
        "tags": case["tags"],
    }


def delivered(batch: dict, created: dict) -> dict:
    """The event that names the id of every case."""
    cases = zip(batch["cases"], created["result"], strict=True)
    return {
        "tenant_id": batch["tenant_id"],
        "batch_id": batch["batch_id"],
        "outcome": "delivered",
        "cases": [{"external_id": case["external_id"], "testmo_id": row["id"]} for case, row in cases],
    }


def event_key(batch: dict) -> str:
    """The routing key of the event."""
    return f"{batch['tenant_id']}.batch.delivered"
