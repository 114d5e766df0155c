"""Asks a running Toxiproxy the questions of requests.json and writes its answers down.

    python3 record.py http://127.0.0.1:8474 >answers.json

The server must be fresh. Addresses that it chose stand as ${PROXY}; what differs from run to run is left out, as is
`"Logger":{}`, which recent servers leak.
"""

import http.client
import json
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

KEPT = ("content-type", "x-content-type-options", "location", "allow")


def main(url):
    requests = json.loads((Path(__file__).parent / "requests.json").read_text())
    listens = {}
    steps = []
    for request in requests:
        if isinstance(request, str):  # a heading
            continue
        method, path, *rest = request
        body = rest[0] if rest else None
        fields = rest[1] if len(rest) > 1 else {}
        steps.append(step(url, method, path, body, fields, listens))
    print("[\n" + ",\n".join(json.dumps(it, ensure_ascii=False) for it in steps) + "\n]")


def step(url, method, path, body, fields, listens):
    sent = body
    for name, listen in listens.items():
        sent = sent and sent.replace("${%s}" % name, listen)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path, sent and sent.encode(), {"User-Agent": "record", **fields})
    answer = connection.getresponse()
    text = answer.read().decode().replace('"Logger":{},', "")
    for name, listen in re.findall(r'"name":"([^"]*)","listen":"([0-9.:\[\]]+)"', text):
        if not listen.endswith(":0"):
            listens[name] = listen
    for name, listen in listens.items():
        text = text.replace(listen, "${%s}" % name)
    said = {"status": answer.status, "body": text}
    said["headers"] = {name: value for name in KEPT if (value := answer.getheader(name))}
    said["request_id"] = answer.getheader("X-Toxiproxy-Request-Id") is not None
    connection.close()
    asked = {"method": method, "path": path, "body": body, "fields": fields}
    return {"asked": asked, "answered": said}


main(sys.argv[1])
