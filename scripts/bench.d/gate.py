"""`scripts/bench gate`: the hostile answers that the gate's own tests hold it to, asked of its peers, too.

One server on loopback (`standins hostile`) has every answer; the query says which one comes. dyno is the
real program, once a case. Argo Rollouts is its analysis controller with an AnalysisRun a case, Flagger its
canary controller with a canary a case, each built from its module with the cluster stood in for by the
clients of its own tests. A good answer has to pass and one over the limit to fail in every tool, or nothing
is counted.
"""
import asyncio
import base64
import collections
import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import platform
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import gate_k6
import load
import table as tables

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BUILT = TARGET / f"{platform.machine()}-unknown-linux-gnu" / "debug"
FLAWS = ["refused", "malformed", "empty", "stale", "thin", "partial"]
# Every value of a good answer is 1: it holds the first two limits, and breaks the third.
BOUNDS = {"max": ("<", 2), "min": (">", 0.5), "broken": ("<", 0.5)}
OPPOSITE = {"<": ">=", ">": "<="}
# How long Argo may take: four errors in a row are asked again after 10 s each, 30 s late at most.
ARGO_SECONDS = 280
ARGO_BACKGROUND = 25
BACKGROUND = "Argo Rollouts, in the background"
DYNO_QUERIES = {
    "wavefront": 'ts("{}")', "prometheus": "{}", "graphite": "{}", "datadog": "avg:{}{{*}}", "cloudwatch": "{}",
    "dynatrace": "{}", "newrelic": "SELECT average(v) FROM {}",
    "influxdb1": "SELECT mean(v) FROM {} WHERE {{{{ window }}}} GROUP BY time(10s)",
    "influxdb2": 'from(bucket: "{}") |> range(start: v.timeRangeStart, stop: v.timeRangeStop)',
    "json": "data?w={}&{{{{ window }}}}",
}
# Of each source: how Argo asks it, and what its documentation makes of the result in a condition.
ARGO = {
    "wavefront": ("latest", "result", lambda at, word: {"wavefront": {"address": at["tls"], "query": f'ts("{word}")'}}),
    "prometheus": ("latest", "result[0]", lambda at, word: {"prometheus": {"address": at["url"], "query": word}}),
    "influxdb2": ("latest", "result[0]", lambda at, word: {
        "influxdb": {"query": f'from(bucket: "{word}") |> range(start: -1m) |> last()'}}),
    "graphite": ("series", "result[0]", lambda at, word: {
        "graphite": {"address": at["url"], "query": f"target={word}"}}),
    "datadog": ("latest", "result", lambda at, word: {
        "datadog": {"apiVersion": "v2", "interval": "1m", "query": f"avg:{word}{{*}}"}}),
    "newrelic": ("latest", "result['average.v']", lambda at, word: {
        "newRelic": {"query": f"SELECT average(v) FROM {word}"}}),
    "json": ("latest", "result", lambda at, word: {
        "web": {"url": f"{at['url']}/data?w={word}", "jsonPath": "{$.series[0].points[-1:][1]}"}}),
}
FLAGGER = {
    "prometheus": ("latest", "prometheus", "{}"),
    "influxdb2": ("latest", "influxdb", 'from(bucket: "{}") |> range(start: -1m) |> last()'),
    "graphite": ("series", "graphite", "target={}"),
    "datadog": ("series", "datadog", "avg:{}{{*}}"),
    "dynatrace": ("latest", "dynatrace", "{}"),
    "newrelic": ("insights", "newrelic", "SELECT average(v) FROM {}"),
}


class Hostile:
    """The server with the answers; also behind TLS, which one peer insists on."""

    def __init__(self, folder):
        self.process = subprocess.Popen([BUILT / "examples/standins", "hostile"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        with urllib.request.urlopen(f"{self.url}/cases") as answer:
            self.cases = json.load(answer)
        self.certificate = folder / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", folder / "key.pem", "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, folder / "key.pem")
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.relay(started)), daemon=True).start()
        started.wait()

    async def relay(self, started):
        host, port = self.url.removeprefix("http://").split(":")

        async def carry(reader, writer):
            try:
                while piece := await reader.read(1 << 16):
                    writer.write(piece)
                    await writer.drain()
            except OSError:
                pass
            writer.close()

        async def serve(reader, writer):
            there = await asyncio.open_connection(host, int(port))
            await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.context)
        self.tls = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await server.serve_forever()

    def asked(self, kind, form):
        return [case for case in self.cases if case["kind"] == kind and case["form"] == form]

    def close(self):
        self.process.kill()
        self.process.wait()


def built(peer):
    """The program that drives a peer, built once for its module's version; and that version."""
    source = HERE / "gate_peers" / peer
    version = re.search(r"^require \S+ (v\S+)|^\tgithub\.com/(?:argoproj/argo-rollouts|fluxcd/flagger) (v\S+)",
                        (source / "go.mod").read_text(), re.M)
    version = version[1] or version[2]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(source.iterdir()))).hexdigest()
    program = load.CACHE / "bin" / f"{peer}-gate-{digest[:12]}"
    if not program.exists():
        print(f"bench: building {peer} {version} (once, some minutes)", file=sys.stderr)
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "build", "-o", program, "."], cwd=source, check=True)
    return program, version


def secret(namespace, name, **values):
    data = {key.replace("__", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"namespace": namespace, "name": name}, "data": data}


def questions(hostile, sources):
    """Every (name, kind, case, word, bound) that a tool with these sources is asked; good answers among them."""
    for kind, (form, *_) in sources.items():
        for case in [*hostile.asked(kind, form), {"word": f"hostile_{kind}_{form}_good", "kind": kind, "name": "good"}]:
            for bound in BOUNDS if case["name"] == "good" else ("max", "min"):
                yield f"{case['word'].replace('_', '-')}-{bound}", kind, case, case["word"], bound


def argo(hostile, program, style, background=False):
    """AnalysisRuns of one measurement; or of one every 10 s, until the rollout that they belong to is done."""
    at, runs = {"url": hostile.url, "tls": hostile.tls}, []
    for name, kind, _, word, bound in questions(hostile, ARGO):
        _, value, provider = ARGO[kind]
        operator, limit = BOUNDS[bound]
        operator = operator if style == "successCondition" else OPPOSITE[operator]
        metric = {style: f"{value} {operator} {limit}", "provider": provider(at, word)}
        if background:
            metric["interval"] = "10s"
        runs.append({"name": name, "metric": metric})
    system = "argo-rollouts"
    tokens = secret(system, "wavefront-api-tokens")
    tokens["data"][hostile.tls] = base64.b64encode(b"token").decode()
    secrets = [
        tokens,
        secret(system, "influxdb", address=hostile.url, authToken="token", org="org"),
        secret(system, "datadog", address=hostile.url, api__key="key", app__key="key"),
        secret(system, "newrelic", personal__api__key="NRAK-KEY", account__id="1",
               base__url__nerdgraph=f"{hostile.url}/graphql"),
    ]
    terminate = ARGO_BACKGROUND if background else 0
    told = driven(program, {"secrets": secrets, "runs": runs, "seconds": ARGO_SECONDS, "terminate": terminate}, "runs",
                  SSL_CERT_FILE=str(hostile.certificate))
    return {name: (one.get("phase") == "Successful", one) for name, one in told.items()}


def flagger(hostile, program):
    checks = []
    for name, kind, _, word, bound in questions(hostile, FLAGGER):
        _, provider, query = FLAGGER[kind]
        operator, limit = BOUNDS[bound]
        template = {"provider": {"type": provider, "address": hostile.url, "secretRef": {"name": provider}},
                    "query": query.format(word)}
        if provider in ("prometheus", "graphite"):
            del template["provider"]["secretRef"]
        metric = {"interval": "1m", "thresholdRange": {"max" if operator == "<" else "min": limit}}
        checks.append({"name": name, "template": template, "metric": metric})
    secrets = [
        secret("shop", "influxdb", token="token", org="org"), secret("shop", "dynatrace", dynatrace_token="token"),
        secret("shop", "datadog", datadog_api_key="key", datadog_application_key="key"),
        secret("shop", "newrelic", newrelic_account_id="1", newrelic_query_key="key"),
    ]
    told = driven(program, {"secrets": secrets, "checks": checks}, "checks")
    return {name: (one.get("advances", False), one) for name, one in told.items()}


def driven(program, asked, key, **variables):
    """What a driver says of all it was asked, by name; an answer that ends the whole program is looked for."""
    ran = subprocess.run([program], input=json.dumps(asked), text=True, capture_output=True,
                         env=dict(os.environ, NO_PROXY="*", **variables))
    if ran.returncode == 0:
        return {one["name"]: one for one in map(json.loads, ran.stdout.splitlines())}
    questions = asked[key]
    if len(questions) == 1:
        return {questions[0]["name"]: {"crashed": ran.stderr.splitlines()[0]}}
    half = len(questions) // 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda part: driven(program, {**asked, key: part}, key, **variables),
                         (questions[:half], questions[half:]))
        return {name: one for part in parts for name, one in part.items()}


def policy(hostile, folder):
    token = folder / "token"
    token.write_text("token")
    token.chmod(0o600)
    url, file = hostile.url, str(token)
    series = {"series": "$.series[*]", "labels": "$.tags", "points": "$.points[*]", "time": "$[0]", "value": "$[1]",
              "error": "$.error"}
    sources = {
        "wavefront": {"url": url, "token-file": file}, "prometheus": {"url": url},
        "influxdb1": {"url": url, "database": "db"}, "influxdb2": {"url": url, "org": "org", "token-file": file},
        "graphite": {"url": url}, "datadog": {"url": url, "api-key-file": file, "application-key-file": file},
        "cloudwatch": {"url": url, "sigv4": {"region": "eu-central-1", "access-key-id": "AKID", "secret-key-file": file}},
        "newrelic": {"url": url, "account": 1, "token-file": file}, "dynatrace": {"url": url, "token-file": file},
        "json": {"url": url, **series},
    }
    path = folder / "policy.yaml"
    profile = {"name": "bench", "match": {"tags": ["bench"], "projects": ["bench/*"], "refs": "any"},
               "environment": {"sandbox": {"network": "none"}}, "sources": list(sources)}
    sources = {name: {name: keys} for name, keys in sources.items()}
    path.write_text(json.dumps({"profiles": [profile], "sources": sources}))
    return path


def dyno(hostile, folder):
    """`dyno gate` once a question, about a minute of yesterday: nothing is waited for that may still come in."""
    program = pathlib.Path(os.environ.get("DYNO_BENCH", BUILT / "dyno"))
    sources, start = policy(hostile, folder), int(time.time()) // 10 * 10 - 86_400
    moment = lambda at: datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    window = {"explicit": {"start": moment(start), "end": moment(start + 60)}}

    def judge(question):
        name, kind, _, word, bound = question
        operator, limit = BOUNDS[bound]
        check = {"name": "check", "source": kind, "query": DYNO_QUERIES[kind].format(f"{word}_{start}000"),
                 "limit": f"mean {operator} {limit}"}
        own = folder / name
        own.mkdir()
        (own / "plan.yaml").write_text(json.dumps({"checks": [check], "gate": {"window": window}}))
        ran = subprocess.run([program, "gate", "plan.yaml", "--policy", sources, "--report", "report"], cwd=own,
                             env={"PATH": os.environ["PATH"], "HOME": str(own)}, text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return name, (ran.returncode == 0, {"exit": ran.returncode, "said": ran.stdout})

    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        return dict(pool.map(judge, questions(hostile, {kind: ("series",) for kind in DYNO_QUERIES})))


class Counted:
    """What became of the cases of a tool, by kind; good answers must have been understood."""

    def __init__(self, hostile, tool, sources, answers):
        self.asked, self.wrong, self.crashed = {}, {}, set()
        for name, kind, case, _, bound in questions(hostile, sources):
            passed, words = answers.get(name, (False, {}))
            if case["name"] == "good":
                if passed != (bound != "broken"):
                    sys.exit(f"bench: {tool} does not judge a good answer of {kind} ({bound}): {words}")
                continue
            self.asked.setdefault(kind, {})[case["name"]] = case["flaw"]
            if passed:
                self.wrong.setdefault(kind, {})[case["name"]] = case["flaw"]
            if "crashed" in words:
                self.crashed.add(case["name"])

    def of(self, cases, chosen=lambda flaw: True):
        return sum(chosen(flaw) for names in cases.values() for flaw in names.values())

    def share(self, chosen):
        of = self.of(self.asked, chosen)
        return f"{self.of(self.wrong, chosen)} of {of}" if of else ""


def tell(table, tools):
    table.head("Hostile answers that pass", "tool", "asked", "passed wrongly", *FLAWS, "ended the tool itself")
    for tool, all in tools.items():
        count = all.of(all.wrong)
        cells = [all.share(lambda one: one == flaw) for flaw in FLAWS]
        table.say(f"| {tool} | {all.of(all.asked)} | {f'**{count}**' if count else '0'} | {' | '.join(cells)} | "
                  f"{len(all.crashed)} |")
    kinds = list(DYNO_QUERIES)
    table.head("The same by source", "tool", *kinds)
    for tool, all in tools.items():
        cells = [f"{len(all.wrong.get(kind, {}))} of {len(all.asked[kind])}" if kind in all.asked else "" for kind in kinds]
        table.say(f"| {tool} | {' | '.join(cells)} |")
    for line in ("", "### Which ones", ""):
        table.say(line)
    told = {}
    for tool, all in tools.items():
        for kind, names in all.wrong.items():
            parts = [part for flaw in FLAWS if (part := listed(kind, flaw, names, all.asked[kind]))]
            line = f"{kind}: {'; '.join(parts)}"
            # Of two ways to ask the same tool the second only says what is different.
            if line != told.get((tool.split(",")[0], kind)):
                table.say(f"- {tool}, {line}")
            told[tool.split(",")[0], kind] = line


def listed(kind, flaw, wrong, asked):
    """The wrongly passed cases of a flaw, in words; what only one source says has a number before it."""
    names = [name for name, one in wrong.items() if one == flaw]
    of = sum(one == flaw for one in asked.values())
    if len(names) > 2 and len(names) == of:
        return f"all {of} that are {flaw}"
    told = collections.Counter(re.sub(r"^own answer \d+: ", "", name.removeprefix(f"{kind}: ")) for name in names)
    return "; ".join(name if n == 1 else f"{name} ({n} of them)" for name, n in told.items())


MADE = """Made by `scripts/bench gate --write` with Argo Rollouts {argo}, Flagger {flagger} and {k6}.

The tests hold the gate to a list of hostile answers ([`tests/hostile`](../tests/hostile)); here the same list is asked
of the programs themselves: `dyno gate`, Argo Rollouts' analysis controller and Flagger's canary controller, both built
from their modules with only the cluster stood in for. Each value in an answer is 1, and each case is asked twice, with
the limits `< 2` and `> 0.5`: it passed wrongly when one of them held. All else is as it is by default. Argo Rollouts
gets an AnalysisRun of one metric, with `successCondition` alone or with `failureCondition` alone; a pass is the phase
`Successful`. Flagger gets a MetricTemplate and a `thresholdRange` with `max` or `min`; a pass is that the canary
advances. A good answer passes in every tool, and fails at a limit that it breaks.

Sources are asked as the peers' documentation has it. Most are asked for one value; then the answer is that one value,
and cases are left out that cannot be told from a good answer by it, as are all of too few samples. Peers are asked
what they have a provider for; CloudWatch is left out, for which they speak another protocol than the list's.

- refused: a status other than 200, no answer, half of one, silence
- malformed: an error or other content under status 200, values that are no numbers
- empty: no series, no samples, null, NaN, infinite, in one of the series at least
- stale: samples of another time; those peers look at the values alone
- thin: too few samples, or holes
- partial: the source says that something is missing
"""


def write(table, made):
    """Puts the table into docs/gate.md, between its marks."""
    file = ROOT / "docs/gate.md"
    begin, end = "<!-- peers: begin -->", "<!-- peers: end -->"
    text = file.read_text()
    if begin not in text:
        text += f"\n## Beside its peers\n\n{begin}\n{end}\n"
    before, after = text.split(begin)[0], text.split(end)[1]
    file.write_text(before + "\n".join([begin, made, *table.lines[1:], "", end]) + after)


def run(options):
    subprocess.run(["cargo", "build", "--quiet", "--bin", "dyno", "--example", "standins"], cwd=ROOT, check=True)
    (argo_program, argo_version), (flagger_program, flagger_version) = built("argo"), built("flagger")
    load.install({"k6"}, False)
    table, tools, theirs, heard = tables.Table(), {}, [], []
    with tempfile.TemporaryDirectory(prefix="dyno-bench.") as folder:
        folder = pathlib.Path(folder)
        hostile = Hostile(folder)
        try:
            ours = {kind: ("series",) for kind in DYNO_QUERIES}
            # Argo mostly waits: all of its ways at once, and nobody else beside it.
            pool = concurrent.futures.ThreadPoolExecutor(3)
            ways = [("successCondition",), ("failureCondition",), ("successCondition", True)]
            for tool, sources, ask in [
                ("dyno", ours, lambda: dyno(hostile, folder)),
                ("Flagger", FLAGGER, lambda: flagger(hostile, flagger_program)),
                ("Argo Rollouts, `successCondition`", ARGO, lambda: theirs[0].result()),
                ("Argo Rollouts, `failureCondition`", ARGO, lambda: theirs[1].result()),
                (BACKGROUND, ARGO, lambda: theirs[2].result()),
            ]:
                if sources is ARGO and not theirs:
                    theirs += [pool.submit(argo, hostile, argo_program, *way) for way in ways]
                answers = ask()
                tools[tool] = Counted(hostile, tool, sources, answers)
                heard += [f"{tool}\t{name}\t{passed}\t{words!r}\n" for name, (passed, words) in sorted(answers.items())]
        finally:
            hostile.close()
        behind = tools.pop(BACKGROUND)
        tell(table, tools)
        table.say("")
        table.say(f"An AnalysisRun in the background is ended by its rollout, and by five errors in a row, which take 40 s "
                  f"at least. Ended after {ARGO_BACKGROUND} s, {behind.of(behind.wrong)} of the {behind.of(behind.asked)} "
                  "are `Successful`: errors count for nothing then.")
        is_fine = gate_k6.run(table, folder, BUILT / "dyno", heard) and not tools["dyno"].wrong
    if options.answers:
        pathlib.Path(options.answers).write_text("".join(heard))
    if options.write:
        k6 = load.GO["k6"].replace("go.k6.io/k6@", "k6 ")
        write(table, MADE.format(argo=argo_version, flagger=flagger_version, k6=k6))
    return 0 if is_fine else 1
