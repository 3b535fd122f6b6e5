"""`scripts/bench load`: the load generator beside its peers, interleaved, held to its limits.

nginx and the shop run on the last core, every generator on the first. CPU time is counted over all
processes of a tool, its start and its report included.
"""
import json
import math
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import floor
import table as tables

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("DYNO_CACHE", pathlib.Path.home() / ".cache/dyno")) / "peers"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BUILT = TARGET / f"{platform.machine()}-unknown-linux-gnu" / "release"
GIVEN = os.environ.get("DYNO_BENCH")
DYNO = pathlib.Path(GIVEN or BUILT / "dyno")
# A given program may have the shop beside it; else that is built.
BESIDE = DYNO.parent / "examples/standins"
STANDINS = BESIDE if GIVEN and BESIDE.exists() else BUILT / "examples/standins"
PACKAGES = {"nginx": "nginx", "wrk": "wrk", "hey": "hey", "ab": "apache2-utils", "h2load": "nghttp2-client",
            "cc": "build-essential"}
GO = {"k6": "go.k6.io/k6@v1.8.1", "vegeta": "github.com/tsenart/vegeta/v12@v12.13.0"}
LOCUST, OHA = "locust==2.47.0", "1.16.0"
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    # A frozen server must not drop connections for want of a queue: that would be measured, too.
    listen 127.0.0.1:{port}{protocol} backlog=4096;
    location / {{ default_type application/json; return 200 '{body}'; }}
    location /r/ {{ return 302 /x-$request_id; }}
  }}
}}
"""
BODY = json.dumps({"id": 1, "name": "Yoga Mat", "description": "x" * 200})


def environment(**more):
    return dict(os.environ, PATH=f"{CACHE / 'bin'}:{os.environ['PATH']}:/usr/sbin", **more)


def install(tools, with_oha):
    """Installs what is missing: Debian packages, Go modules, Locust in a folder of its own."""
    path = environment()["PATH"]
    missing = [PACKAGES[t] for t in tools if t in PACKAGES and not shutil.which(t, path=path)]
    if missing:
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "apt-get", "update", "-qq"], check=True)
        quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
        subprocess.run([*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
                       check=True, env=quiet, stdout=subprocess.DEVNULL)
    CACHE.mkdir(parents=True, exist_ok=True)
    for tool in tools & GO.keys():
        if not (CACHE / "bin" / tool).exists():
            print(f"bench: building {GO[tool]} (once)", file=sys.stderr)
            subprocess.run(["go", "install", GO[tool]], check=True, env=dict(os.environ, GOBIN=str(CACHE / "bin")))
    if "locust" in tools and not (CACHE / "locust/bin/locust").exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "locust")], check=True)
        subprocess.run([str(CACHE / "locust/bin/pip"), "install", "-q", LOCUST], check=True)
    if with_oha and not (CACHE / "bin/oha").exists():
        print("bench: building oha (once, slow)", file=sys.stderr)
        subprocess.run(["cargo", "install", "--locked", "--quiet", "--root", str(CACHE), f"oha@{OHA}"], check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_ports_are_free():
    """Waits for the ports that a run in overload left in TIME_WAIT, a minute at most."""
    for _ in range(120):
        waiting = re.search(r"\btw (\d+)", pathlib.Path("/proc/net/sockstat").read_text())
        if int(waiting[1]) < 2000:
            return
        time.sleep(0.5)


def pinned(core, argv):
    return ["taskset", "-c", str(core), *map(str, argv)]


def pss(pid):
    """Proportional set size of a process and of all below it, in KB."""
    total, todo = 0, [pid]
    while todo:
        at = todo.pop()
        try:
            rollup = pathlib.Path(f"/proc/{at}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
            for task in pathlib.Path(f"/proc/{at}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, TypeError):
            continue
    return total


def delaying(seconds):
    """A target that answers after a pause; its address, and how long each pause really was, in ms."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    pauses = []
    def serve(connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(4096):
                begun = time.perf_counter()
                time.sleep(seconds)
                pauses.append((time.perf_counter() - begun) * 1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}", pauses


class Servers:
    """What is driven at: nginx, the shop, both on the last core."""

    def __init__(self, folder):
        self.folder, self.core, self.running = folder, os.cpu_count() - 1, []

    def nginx(self, protocol=""):
        port = free_port()
        config = self.folder / f"nginx-{port}.conf"
        config.write_text(NGINX.format(folder=self.folder, port=port, protocol=protocol, body=BODY))
        return self.start(["nginx", "-c", config], port)

    def shop(self):
        port = free_port()
        return self.start([STANDINS, "shop", "--port", port], port)

    def start(self, argv, port):
        process = subprocess.Popen(pinned(self.core, argv), env=environment(), stdout=subprocess.DEVNULL)
        self.running.append(process)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                return process, f"127.0.0.1:{port}"
            except OSError:
                time.sleep(0.05)
        sys.exit(f"bench: {argv[0]} did not start")

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()


class Ran:
    """How a tool's run ended: CPU seconds, PSS in KB each second and the largest, its output."""

    def __init__(self, argv, folder, meanwhile=None, **variables):
        output = tempfile.TemporaryFile(dir=folder)
        process = subprocess.Popen(pinned(0, argv), env=environment(**variables), cwd=folder,
                                   stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.pss, self.sizes, ended = 0, [], threading.Event()
        watch = threading.Thread(target=self.watch, args=(process.pid, ended))
        watch.start()
        if meanwhile:
            meanwhile()
        # The parent waits for its children, so their time is in its own.
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        ended.set()
        watch.join()
        self.cpu = usage.ru_utime + usage.ru_stime
        output.seek(0)
        self.text = output.read().decode(errors="replace")

    def watch(self, pid, ended):
        while not ended.wait(1):
            self.sizes.append(pss(pid))
            self.pss = max(self.pss, self.sizes[-1])


class Bench:
    """Ways to run each tool; each returns (requests, Ran)."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds

    def number(self, pattern, ran):
        found = re.findall(pattern, ran.text)
        if not found:
            sys.exit(f"bench: no result in:\n{ran.text[-2000:]}")
        return int(found[0].replace(",", ""))

    def dyno(self, *arguments, meanwhile=None, **variables):
        report = self.folder / "dyno-report"
        ran = Ran([DYNO, "load", *arguments, "--report", report], self.folder, meanwhile, **variables)
        ran.summary = json.loads((report / "load.json").read_text())
        if ran.summary["requests"]["failed"] or not ran.summary["requests"]["count"]:
            sys.exit(f"bench: dyno failed:\n{ran.text[-2000:]}")
        return ran.summary["requests"]["count"], ran

    def get(self, tool, at):
        url, span = f"http://{at}/", f"{self.seconds}s"
        match tool:
            case "dyno":
                return self.dyno("--target", url, "--get", "/", "--users", 64, "--spawn-rate", "100000/s",
                                 "--duration", span, "--threads", 1)
            case "wrk":
                ran = Ran(["wrk", "-t1", "-c64", f"-d{span}", url], self.folder)
                return self.number(r"(\d+) requests in", ran), ran
            case "hey":
                ran = Ran(["hey", "-z", span, "-c", 64, "-cpus", 1, url], self.folder)
                return self.number(r"\[200\]\s+(\d+) responses", ran), ran
            case "ab":
                ran = Ran(["ab", "-q", "-k", "-c", 64, "-t", self.seconds, "-n", 100_000_000, url], self.folder)
                return self.number(r"Complete requests:\s+(\d+)", ran), ran
            case "h2load":
                ran = Ran(["h2load", "--h1", "-t1", "-c64", "-D", self.seconds, url], self.folder)
                return self.number(r"(\d+) succeeded", ran), ran
            case "oha":
                ran = Ran(["oha", "--no-tui", "-c", 64, "-z", span, url], self.folder, TOKIO_WORKER_THREADS="1")
                return self.number(r"\[200\] (\d+) responses", ran), ran
            case "vegeta":
                attack = ["vegeta", "attack", "-rate=0", "-max-workers=64", "-connections=64", f"-duration={span}"]
                script = f"echo 'GET {url}' | {' '.join(attack)} | vegeta report"
                ran = Ran(["sh", "-c", script], self.folder, GOMAXPROCS="1")
                return self.number(r"Requests\s+\[total.*?\]\s+(\d+)", ran), ran
            case "k6":
                return self.k6("get_k6.js", ["--vus", 64, "--duration", span], TARGET=url)
            case "locust":
                return self.locust("get_locust.py", url, 64, self.seconds)

    def http2(self, tool, at):
        """64 connections of 10 streams each, HTTP/2 known beforehand."""
        url = f"http://{at}/"
        if tool == "dyno":
            return self.dyno("--target", url, "--get", "/", "--http2", "--streams", 10, "--users", 640, "--spawn-rate",
                             "100000/s", "--duration", f"{self.seconds}s", "--threads", 1)
        ran = Ran(["h2load", "-t1", "-c64", "-m10", "-D", self.seconds, url], self.folder)
        return self.number(r"(\d+) succeeded", ran), ran

    def k6(self, script, arguments, **variables):
        given = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
        ran = Ran(["k6", "run", "--quiet", "--no-usage-report", *arguments, *given, HERE / script], self.folder,
                  GOMAXPROCS="1")
        return self.number(r"http_reqs\S*:\s+(\d+)", ran), ran

    def locust(self, script, url, users, seconds, rate=100_000, **variables):
        argv = [CACHE / "locust/bin/locust", "-f", HERE / script, "--headless", "-H", url.rstrip("/"), "-u", users,
                "-r", rate, "-t", f"{seconds}s", "--stop-timeout", 0, "--only-summary", "--loglevel", "ERROR"]
        ran = Ran(argv, self.folder, **variables)
        return self.number(r"Aggregated\s+(\d+)", ran), ran

    def journey(self, tool, at, seconds):
        match tool:
            case "dyno":
                return self.dyno(ROOT / "config/plans/acme.yaml", "--duration", f"{seconds}s", FRONTEND_TARGET=at)
            case "k6":
                return self.k6("shop_k6.js", [], TARGET=f"http://{at}", USERS=250, RATE=25, SECONDS=seconds)
            case "locust":
                return self.locust("shop_locust.py", f"http://{at}", 250, seconds, rate=25)
            case "the floor":
                ran = Ran([self.floor, at.rpartition(":")[2], self.recorded], self.folder)
                return self.number(r"(\d+) answered", ran), ran

    def record(self, at, seconds):
        """Builds the floor's client and gives it what dyno asks of the shop."""
        self.floor, self.recorded = floor.build(self.folder), self.folder / "requests"
        recorder = floor.Recorder(at)
        self.journey("dyno", recorder.at, seconds)
        recorder.write(self.recorded)

    def idle(self, tool, at, users):
        """So many users who ask once a second over a connection of their own."""
        url = f"http://{at}/"
        match tool:
            case "dyno":
                plan = self.folder / "idle.yaml"
                plan.write_text(f"target: {url}\nload: {{ users: {users}, spawn-rate: 1000/s, duration: 8s, think: 1s }}\n"
                                "journeys: [{ steps: [{ get: / }] }]\n")
                return self.dyno(plan, "--threads", 1)
            case "k6":
                return self.k6("get_k6.js", ["--vus", users, "--duration", "8s"], TARGET=url, THINK=1)
            case "locust":
                return self.locust("get_locust.py", url, users, 8, rate=1000, BENCH_THINK="1")


def ratios(rows, peer, measure, whose="dyno"):
    """dyno's figure, or another's, over the peer's, pair by pair: median and the whole interval."""
    pairs = sorted(measure(*one) / measure(*two) for one, two in zip(rows[whose], rows[peer]))
    return statistics.median(pairs), f"{statistics.median(pairs):.3f} ({pairs[0]:.3f}–{pairs[-1]:.3f})"


def interleaved(tools, rounds, run):
    rows = {tool: [] for tool in tools}
    for number in range(rounds):
        # Each order as often as its reverse: a machine that slows down wrongs nobody.
        for tool in tools if number % 2 == 0 else reversed(tools):
            rows[tool].append(run(tool))
    return rows


def cpu_per_request(count, ran):
    return ran.cpu / count * 1e6


def row_get(bench, servers, table, options):
    process, at = servers.nginx()
    # The slow ones in rounds of their own, so that dyno's run lies near each of theirs.
    fast = ["dyno", "wrk", "ab", "h2load"] + (["oha"] if options.with_oha else [])
    table.head("A plain GET over 64 kept-alive connections", "tool", "CPU µs/request", "requests/s",
               "dyno's CPU / its CPU (interval)", "limit")
    limits = {"wrk": 1.0, "oha": 0.75, "k6": 0.16, "locust": 0.09}
    for tools in (fast, ["dyno", "hey", "vegeta", "k6", "locust"]):
        rows = interleaved(tools, options.rounds, lambda tool: bench.get(tool, at))
        for tool, runs in rows.items():
            cpu = statistics.median(cpu_per_request(*run) for run in runs)
            rate = statistics.median(count for count, _ in runs) / bench.seconds
            ratio, told = (None, "") if tool == "dyno" else ratios(rows, tool, cpu_per_request)
            table.row(tool, f"{cpu:.2f}", f"{rate:,.0f}", told, limit=limits.get(tool), value=ratio)
    process.kill()


def row_http2(bench, servers, table, options):
    process, at = servers.nginx(" http2")
    table.head("HTTP/2: a plain GET over 64 connections of 10 streams", "tool", "CPU µs/request", "requests/s",
               "dyno's CPU / its CPU (interval)", "limit")
    rows = interleaved(["dyno", "h2load"], options.rounds, lambda tool: bench.http2(tool, at))
    for tool, runs in rows.items():
        cpu = statistics.median(cpu_per_request(*run) for run in runs)
        rate = statistics.median(count for count, _ in runs) / bench.seconds
        ratio, told = (None, "") if tool == "dyno" else ratios(rows, tool, cpu_per_request)
        table.row(tool, f"{cpu:.2f}", f"{rate:,.0f}", told, limit=1.3 if ratio else None, value=ratio)
    process.kill()


def row_journey(bench, servers, table, options):
    _, at = servers.shop()
    seconds = options.journey_seconds
    table.head(f"The shop's journey: 250 users, 25 a second, {seconds} s", "tool", "requests", "CPU s", "memory (PSS) MB",
               "the floor's CPU a request / its", "dyno's / its", "limit")
    bench.record(at, seconds)
    tools = ["dyno", "the floor", "locust", "k6"]
    rows = interleaved(tools, options.journey_rounds, lambda tool: bench.journey(tool, at, seconds))
    limits = {"the floor": 1.75, "locust": 0.09, "k6": 0.18}
    for tool, runs in rows.items():
        middle = [statistics.median(values) for values in zip(*((n, ran.cpu, ran.pss / 1024) for n, ran in runs))]
        cells = [tool, f"{middle[0]:,.0f}", f"{middle[1]:.2f}", f"{middle[2]:.1f}"]
        if tool == "dyno":
            table.row(*cells, "", "memory", limit=20, value=middle[2])
        else:
            least = "" if tool == "the floor" else ratios(rows, tool, cpu_per_request, "the floor")[1]
            ratio, told = ratios(rows, tool, cpu_per_request)
            table.row(*cells, least, told, limit=limits[tool], value=ratio)


def row_memory(bench, servers, table, options):
    _, at = servers.nginx()
    few, many = 100, 2100
    table.head("Memory of one more user with an open connection", "tool", "KB a user", "dyno's / its", "limit")
    grown = {}
    for tool, limit in (("dyno", 12), ("k6", 0.08), ("locust", 0.6)):
        sizes = [bench.idle(tool, at, users)[1].pss for users in (few, many)]
        grown[tool] = (sizes[1] - sizes[0]) / (many - few)
        if tool == "dyno":
            table.row(tool, f"{grown[tool]:.1f}", "", limit=limit, value=grown[tool])
        else:
            ratio = grown["dyno"] / grown[tool]
            table.row(tool, f"{grown[tool]:.1f}", f"{ratio:.3f}", limit=limit, value=ratio)


def row_lag(bench, servers, table, options):
    table.head("How far arrivals start behind their moment, open model", "tool", "arrivals/s", "p50 ms", "p99 ms",
               "max ms", "limit")

    def vegeta(rate, seconds):
        # A server of its own, since ports in TIME_WAIT belong to the last one's.
        attack = f"vegeta attack -rate={rate} -duration={seconds}s -output=hits"
        Ran(["sh", "-c", f"echo 'GET http://{servers.nginx()[1]}/' | {attack}"], bench.folder, GOMAXPROCS="1")
        until_ports_are_free()
        ran = Ran(["sh", "-c", "vegeta encode --to csv < hits | cut -d, -f1"], bench.folder)
        starts = sorted(int(line) for line in ran.text.split() if line.isdigit())
        # Its first hit may be late itself: the schedule is laid so that none is early.
        behind = sorted(start - n * 1e9 / rate for n, start in enumerate(starts))
        return [(value - behind[0]) / 1e6 for value in (behind[len(behind) // 2], behind[len(behind) * 99 // 100], behind[-1])]

    def dyno(rate):
        _, ran = bench.dyno("--target", f"http://{servers.nginx()[1]}", "--get", "/", "--arrivals", f"{rate}/s",
                            "--duration", f"{bench.seconds}s", "--threads", 1)
        return [ran.summary["generator"]["lag"][key] for key in ("p50", "p99", "max")]

    # vegeta's capacity in the open model, which lies far below what it reaches flat out: the highest
    # rate at which no arrival is a tenth of a second late.
    kept, lost = 1000, 32_000
    while lost - kept > kept / 8:
        middle = (kept + lost) // 2
        kept, lost = (middle, lost) if vegeta(middle, 2)[-1] < 100 else (kept, middle)
    rate = kept // 2
    rows = interleaved(["vegeta", "dyno"], 3, lambda tool: vegeta(rate, bench.seconds) if tool == "vegeta" else dyno(rate))
    middle = {tool: [statistics.median(values) for values in zip(*runs)] for tool, runs in rows.items()}
    told = lambda values: [f"{value:.3f}" for value in values]
    table.row("vegeta, half of its capacity", f"{rate:,}", *told(middle["vegeta"]))
    table.row("dyno", f"{rate:,}", *told(middle["dyno"]), limit=round(middle["vegeta"][1], 3), value=middle["dyno"][1])
    rate = int(bench.get("dyno", servers.nginx()[1])[0] / bench.seconds / 2)
    own = [statistics.median(values) for values in zip(*(dyno(rate) for _ in range(3)))]
    table.row("dyno, half of its own capacity", f"{rate:,}", *told(own))


def row_honesty(bench, servers, table, options):
    process, at = servers.nginx()
    def freeze():
        time.sleep(4)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
    table.head("Honesty: the target frozen for 2 s of 10, 1,000 arrivals/s", "percentile", "truth ms", "told ms", "off by %", "limit")
    _, ran = bench.dyno("--target", f"http://{at}", "--get", "/", "--arrivals", "1000/s", "--duration", "10s",
                        "--threads", 1, meanwhile=freeze)
    for name, truth in (("p90", 1000), ("p95", 1500), ("p99", 1900)):
        told = ran.summary["latency"][name]
        off = abs(told - truth) / truth * 100
        table.row(name, f"{truth}", f"{told:.0f}", f"{off:.1f}", limit=5, value=off)
    process.kill()


def row_delay(bench, servers, table, options):
    table.head("Honesty: a known delay in the target", "delay ms", "percentile", "target says ms", "dyno says ms", "off by %", "limit")
    for delay in (50, 200):
        at, pauses = delaying(delay / 1000)
        _, ran = bench.dyno("--target", f"http://{at}", "--get", "/", "--users", 2, "--spawn-rate", "1000/s",
                            "--duration", "6s", "--threads", 1)
        pauses.sort()
        for percent in (50, 90, 95):
            truth = pauses[math.ceil(len(pauses) * percent / 100) - 1]
            told = ran.summary["latency"][f"p{percent}"]
            off = abs(told - truth) / truth * 100
            table.row(f"{delay}", f"p{percent}", f"{truth:.2f}", f"{told:.2f}", f"{off:.2f}", limit=1, value=off)


SOAK = """
target: http://{at}
load: {{ preset: soak, arrivals: {rate}/s, duration: {seconds}s, threads: 1, think: 0s }}
journeys:
  - steps:
{steps}
      # What names without bound come to: a template is one endpoint, redirects are told apart up to a cap.
      - get: "/p/{{{{ uuid() }}}}?n={{{{ counter() }}}}"
      - get: /r/
limits: [errors <= 0%, drift < 500%]
"""


def row_soak(bench, servers, table, options):
    """Memory over a long run: what a tenth of it at its start holds is about all that its end may."""
    _, at = servers.nginx()
    seconds, rate = options.soak_seconds, options.soak_rate
    steps = "\n".join(f'      - get: "/?{n}"' for n in range(50))
    plan = bench.folder / "soak.yaml"
    plan.write_text(SOAK.format(at=at, rate=rate, seconds=seconds, steps=steps))
    table.head(f"Memory of a soak: {seconds} s, {rate * 53} requests/s, 53 endpoints and 150 more by redirects without bound",
               "requests", "MB at the start", "in the middle", "at the end", "end / start", "limit")
    count, ran = bench.dyno(plan)
    n = len(ran.sizes)
    tenths = (ran.sizes[n // 10:n // 5], ran.sizes[n * 9 // 20:n * 11 // 20], ran.sizes[-(n // 10):])
    start, middle, end = (statistics.median(sizes) / 1024 for sizes in tenths)
    table.row(f"{count:,}", f"{start:.1f}", f"{middle:.1f}", f"{end:.1f}", f"{end / start:.2f}", limit=1.15,
              value=end / start)


ROWS = {"get": (row_get, {"nginx", "wrk", "hey", "ab", "h2load", "vegeta", "k6", "locust"}),
        "http2": (row_http2, {"nginx", "h2load"}),
        "journey": (row_journey, {"k6", "locust", "cc"}),
        "memory": (row_memory, {"nginx", "k6", "locust"}),
        "lag": (row_lag, {"nginx", "vegeta"}),
        "honesty": (row_honesty, {"nginx"}),
        "delay": (row_delay, set()),
        "soak": (row_soak, {"nginx"})}


def run(options):
    chosen = options.rows or list(ROWS)
    install(set().union(*(ROWS[name][1] for name in chosen)), options.with_oha)
    if not GIVEN or ("journey" in chosen and STANDINS != BESIDE):
        subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "dyno", "--example", "standins"], cwd=ROOT, check=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dyno-bench."))
    servers, bench, table = Servers(folder), Bench(folder, options.seconds), tables.Table()
    try:
        for name in chosen:
            ROWS[name][0](bench, servers, table, options)
    finally:
        servers.close()
        shutil.rmtree(folder, ignore_errors=True)
    if options.write:
        tables.write("load", "Load", table, " ".join(["scripts/bench", *sys.argv[1:]]))
    return 0 if table.is_fine else 1
