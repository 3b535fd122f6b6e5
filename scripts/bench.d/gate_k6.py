"""Runs in which nothing good was measured: k6's thresholds and dyno's limits over the same targets.

k6 judges its own samples only, so what can be hostile is the target, or that nothing was ever measured.
"""
import http.server
import json
import socket
import subprocess
import sys
import threading

import load

SECONDS = 3
TIMES, ERRORS = "p(95)<500", "rate<0.01"
# Of a run that measured something: a threshold that it holds, and one that it breaks.
CONTROLS = {TIMES: 0, "p(95)<0.000001": 99}
# A case: the target, k6's threshold, lines of its script, dyno's limit. The journey asks for `/`; nothing asks
# for `/orders`, and nothing feeds the metrics of the script's own.
CASES = [
    ("every connection refused, a limit on times", "refusing", {"http_req_duration": [TIMES]}, "", "p95 < 500ms"),
    ("a target that never answers, a limit on times", "silent", {"http_req_duration": [TIMES]}, "", "p95 < 500ms"),
    ("a target that never answers, a limit on errors", "silent", {"http_req_failed": [ERRORS]}, "", "errors < 1%"),
    ("a target of another protocol, a limit on times", "other", {"http_req_duration": [TIMES]}, "", "p95 < 500ms"),
    ("every answer is a 500, a limit on times", "broken", {"http_req_duration": [TIMES]}, "", "p95 < 500ms"),
    ("an endpoint that nothing asked, a limit on times", "good", {"http_req_duration{name:orders}": [TIMES]}, "",
     "p95 of \"GET /orders\" < 500ms"),
    ("an endpoint that nothing asked, a limit on errors", "good", {"http_req_failed{name:orders}": [ERRORS]}, "",
     "errors of \"GET /orders\" < 1%"),
    ("a tag that nothing has, a limit on times", "good", {"http_req_duration{kind:checkout}": [TIMES]}, "",
     "p95 tagged checkout < 500ms"),
    ("checks of which none ran", "good", {"checks": ["rate>0.9"]}, "", None),
    ("a Trend that nothing fed", "good", {"own": [TIMES]}, "const own = new metrics.Trend('own');", None),
    ("a Rate that nothing fed", "good", {"own": ["rate>0.95"]}, "const own = new metrics.Rate('own');", None),
    ("a Counter that nothing fed", "good", {"own": ["count<10"]}, "const own = new metrics.Counter('own');", None),
    ("a Gauge that nothing fed", "good", {"own": ["value<5"]}, "const own = new metrics.Gauge('own');", None),
]
SCRIPT = """import http from 'k6/http';
import * as metrics from 'k6/metrics';
{lines}
export const options = {{ scenarios: {{ one: {{ executor: 'constant-vus', vus: 2, duration: '{seconds}s' }} }},
  thresholds: {thresholds} }};
export default function () {{ http.get('{url}/'); }}
"""


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers with the status that its class says."""

    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Broken(Answering):
    status = 500


def answering(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def listening(words):
    """A target that says so much and no more, and keeps the connection if that is nothing."""
    listener, kept = socket.create_server(("127.0.0.1", 0), backlog=100), []

    def accept():
        while True:
            connection, _ = listener.accept()
            if words:
                with connection:
                    connection.sendall(words)
            else:
                kept.append(connection)

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def ended(argv, folder):
    ran = subprocess.run(list(map(str, argv)), cwd=folder, env=load.environment(), stdin=subprocess.DEVNULL, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ran.returncode, ran.stdout


def run(table, folder, dyno, heard):
    """Adds the rows; true when dyno passed none."""
    targets = {"good": answering(Answering), "broken": answering(Broken), "silent": listening(b""),
               "other": listening(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "refusing": f"http://127.0.0.1:{load.free_port()}"}
    table.head("Runs in which nothing good was measured: k6's thresholds", "the run", "threshold", "k6", "dyno's limit", "dyno")
    (folder / "k6").mkdir()
    wrong = {"k6": 0, "dyno": 0}

    def told(tool, code):
        wrong[tool] += code == 0
        return "**passes**" if code == 0 else f"exit {code}"

    def judged(url, thresholds, lines):
        script = folder / "k6/run.js"
        script.write_text(SCRIPT.format(lines=lines, url=url, seconds=SECONDS, thresholds=json.dumps(thresholds)))
        return ended(["k6", "run", "--quiet", "--no-usage-report", script], folder)

    for threshold, code in CONTROLS.items():
        k6, said = judged(targets["good"], {"http_req_duration": [threshold]}, "")
        if k6 != code:
            sys.exit(f"bench: k6 ended with {k6} for {threshold}:\n{said}")
    for name, target, thresholds, lines, limit in CASES:
        url = targets[target]
        k6, said = judged(url, thresholds, lines)
        heard.append(f"k6\t{name}\t{k6 == 0}\t{said!r}\n")
        metric, (threshold,) = next(iter(thresholds.items()))
        cells = [name, f"`{metric}: {threshold}`", told("k6", k6), "", ""]
        if limit:
            plan = {"target": url, "load": {"users": 2, "spawn-rate": "10/s", "duration": f"{SECONDS}s"},
                    "journeys": [{"steps": [{"get": "/"}]}], "limits": [limit]}
            (folder / "k6/plan.yaml").write_text(json.dumps(plan))
            ours, said = ended([dyno, "load", folder / "k6/plan.yaml", "--report", folder / "k6/report"], folder)
            heard.append(f"dyno\t{name}\t{ours == 0}\t{said!r}\n")
            cells[3:] = [f"`{limit}`", told("dyno", ours)]
        table.say(f"| {' | '.join(cells)} |")
    table.say(f"| passes, in all | | **{wrong['k6']}** of {len(CASES)} | | "
              f"{wrong['dyno']} of {sum(limit is not None for *_, limit in CASES)} |")
    return wrong["dyno"] == 0
