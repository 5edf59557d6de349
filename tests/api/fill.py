"""Fills the store of a worker for the check of its API.

    fill.py messages FOLDER   writes messages that end on the shelf for many causes, and some that are delivered
    fill.py act ORIGIN TOKEN  plans replays and discards entries; prints a configuration for schemathesis that knows
                              what there is
"""

import json
import pathlib
import sys
import urllib.request

TENANTS = ["lindenshop", "northbank", "asklepios", "hatif", "tanuki-games", "voltara", "nobody"]


def messages(folder):
    for number in range(60):
        cases = [{"name": f"case {number} {at}", "external_id": f"E{at}"} for at in range(1 + number % 3)]
        message = {
            "schema_version": 9 if number % 11 == 0 else 1,
            "batch_id": f"x-{number}",
            "tenant_id": TENANTS[number % len(TENANTS)],
            "generated_at": "2026-11-23T09:30:00Z",
            "cases": cases,
        }
        if number % 5 == 0:
            cases[0]["bad"] = 1
        elif number % 5 == 1:
            cases[0]["fields"] = {"No such field": "x"}
        elif number % 5 == 2:
            message["folder_path"] = ["Nowhere", f"Folder {number}"]
        elif number % 5 == 3:
            cases[0]["name"] = "x" * 300
        if number % 13 == 0:
            del message["batch_id"]
        (folder / f"{number:03}.json").write_text(json.dumps(message))
    for number, body in enumerate([b"\xff\xfe{", b"", b'{"a":', b"[]", '"ä"'.encode()]):
        (folder / f"9{number:02}.json").write_bytes(body)


def act(origin, token):
    def call(method, path, body=None):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{origin}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    replays = [call("POST", "/replays", {"selection": {"all": True}, "reason": "x"})["id"] for _ in range(3)]
    entries = [entry["id"] for entry in call("GET", "/shelf?limit=200")["items"]]
    for entry in entries[:6]:
        call("POST", "/shelf/discard", {"ids": [entry], "reason": "x"})
    known = {
        "tenants": TENANTS,
        "entries": entries,
        "batches": [batch["batch_id"] for batch in call("GET", "/batches?limit=200")["items"]],
        "groups": [group["id"] for group in call("GET", "/shelf/groups")["items"]],
        "replays": [str(replay) for replay in replays],
        "reasons": ["x", "because"],
    }
    for name, values in known.items():
        assert values, name
        print(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}")
    used = {
        "path.tenant": "tenants",
        "path.id": "entries",
        "path.batch": "batches",
        "path.group": "groups",
        "path.replay": "replays",
        "query.tenant_id": "tenants",
        "query.group": "groups",
        "body.tenant_id": "tenants",
        "body.selection.tenant": "tenants",
        "body.selection.tenant_id": "tenants",
        "body.selection.group": "groups",
        "body.ids[*]": "entries",
        "body.reason": "reasons",
    }
    print("[parameters]")
    for place, name in used.items():
        print(f'"{place}" = {{dictionary = "{name}", probability = 0.8}}')
    # The token of the check itself.
    print('[[operations]]\ninclude-name = "DELETE /api/v1/tokens/{name}"\nenabled = false')


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["messages", folder]:
            messages(pathlib.Path(folder))
        case ["act", origin, token]:
            act(origin, token)
        case _:
            sys.exit(__doc__)
