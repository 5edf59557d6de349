#!/usr/bin/env python3
"""Serves a settings page for a tenant's Testmo connection: a form, a light, and what to do.

It stands for the Integrations page of a product. The page talks to this server alone, and this server to the API of
testmo-courier, so that the token never reaches a browser. It needs Python 3.9 and nothing else:

    COURIER_API=http://127.0.0.1:9465 COURIER_TOKEN=tc_... TENANT=acme ./integrations_page.py 8080
"""

import html
import json
import os
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote

API = os.environ["COURIER_API"].rstrip("/")
TOKEN = os.environ["COURIER_TOKEN"]
TENANT = os.environ["TENANT"]

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Testmo</title>
<style>
  body {{ font: 1rem system-ui; max-width: 34rem; margin: 2rem auto; padding: 0 1rem }}
  label {{ display: block; margin-top: .8rem }} input {{ width: 100%; padding: .4rem }}
  .green {{ color: #080 }} .amber {{ color: #a60 }} .red {{ color: #b00 }} .grey {{ color: #666 }}
</style>
<h1>Testmo</h1>
<p id="light" class="{light}">&#9679; {light}: {sentence}</p>
<p id="remedy">{remedy}</p>
<p>{waiting} batches wait.</p>
<p id="message">{message}</p>
<form method="post">
  <label>API key <input name="api_key" type="password" autocomplete="off" placeholder="{key}"></label>
  <label>Expiration date <input name="api_key_expires_on" type="date" value="{expires}"></label>
  <label>Base URL <input name="base_url" required value="{base_url}"></label>
  <label>Project ID <input name="project_id" required inputmode="numeric" value="{project_id}"></label>
  <label>Folder ID <input name="folder_id" required inputmode="numeric" value="{folder_id}"></label>
  <input type="hidden" name="state" value="{state}">
  <p><button>Save Configuration</button></p>
</form>
"""


def call(method, path, body=None, headers=None):
    """Sends a request to the API; returns the status, the document and the ETag."""
    request = urllib.request.Request(API + path, method=method, headers={"Authorization": "Bearer " + TOKEN})
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=150) as answer:
            return answer.status, json.load(answer), answer.headers.get("ETag", "")
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused), ""


def save(form):
    """Saves what was entered, and returns what there is to say."""
    body = {
        "base_url": form["base_url"],
        "project_id": whole(form["project_id"]),
        "folder_id": whole(form["folder_id"]),
        "api_key_expires_on": form.get("api_key_expires_on") or None,
    }
    # The key is write-only: a field that is left empty keeps the one that is stored.
    if form.get("api_key"):
        body["api_key"] = form["api_key"]
    # What the page was made from, so that nobody else's change is overwritten.
    state = {"If-Match": form["state"]} if form.get("state") else {"If-None-Match": "*"}
    status, answer, _ = call("PUT", "/api/v1/tenants/" + quote(TENANT, safe=""), body, state)
    if status == 412:
        return "Somebody else has changed the configuration. Check it, then save again."
    if status >= 400:
        return " ".join(filter(None, [answer["detail"], answer.get("remedy")]))
    return "Saved, and the connection works." if answer["in_force"] else "Saved, but the connection does not work yet."


def whole(text):
    return int(text) if text.strip().isdigit() else text


def page(message=""):
    path = "/api/v1/tenants/" + quote(TENANT, safe="")
    _, status, _ = call("GET", path + "/status")
    found, shown, state = call("GET", path)
    shown = shown if found == 200 else {}
    values = {
        "light": status["light"],
        "sentence": status["sentence"],
        "remedy": status["remedy"] or "",
        "waiting": status["waiting_batches"],
        "message": message,
        "key": "stored" if shown else "",
        "expires": shown.get("api_key_expires_on") or "",
        "base_url": shown.get("account") or "",
        "project_id": shown.get("project_id") or "",
        "folder_id": shown.get("folder_id") or "",
        "state": state,
    }
    return PAGE.format(**{name: html.escape(str(value)) for name, value in values.items()})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(page())

    def do_POST(self):
        # A form of another site must not save anything here.
        if self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return self.send_error(403)
        text = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 100_000)).decode()
        form = {name: values[0].strip() for name, values in parse_qs(text, keep_blank_values=True).items()}
        self.answer(page(save(form)))

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080), Handler)
    print("http://127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
