"""`scripts/bench deploy`: `dyno kubectl apply` beside kubectl, on a real API server.

1,000 ConfigMaps and a mixed set of 300 objects are created, applied again unchanged, and updated; by
kubectl as it is by default (client-side, validated), by kubectl at its cheapest (server-side, not
validated), and by dyno in both ways; kubectl once, but for creates. Each life has a namespace of its own. With a round trip of 10 ms
more, a relay between client and server holds every piece back for half of it in each direction. CPU
time is that of the process itself, from the kernel; what the control plane used meanwhile is told
beside it: no client is faster than the server. What the server itself needs for a create is the floor
(`bare.py`): where that alone is beyond a limit on this machine, dyno is held to be next to the floor.
Every run begins when the control plane is at rest.
"""
import asyncio
import json
import multiprocessing
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import bare
import table as tables

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DYNO = TARGET / f"{platform.machine()}-unknown-linux-gnu" / "release" / "dyno"
CLIENT, SERVER = ["--validate=strict"], ["--server-side", "--validate=false"]
MODES = {"client-side": CLIENT, "server-side": SERVER}
PHASES = ("create", "no-op", "update")
DELAY = 0.005
# No run of kubectl is given longer; a ratio is then an upper bound, and told as one.
LONGEST = 240
TICKS = os.sysconf("SC_CLK_TCK")
# So often the floor is looked for, and so many creates of kubectl's come after the first.
FLOORS, CREATES = 2, 2
# Next to the floor: connections, lists of what is there, manifests and lines are in the rest.
NEXT_TO = 1.15
# At rest: no more than this of a core for so many seconds; the machine may have others on it.
REST, REST_FOR, REST_WITHIN = 0.15, 1.0, 15


class Relay:
    """A TCP relay that holds back what it carries, each way for `delay` seconds; a process of its own,
    so that who is measured, be it this very process, has its own time."""

    def __init__(self, host, port, delay):
        self.target, self.delay = (host, port), delay
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        self.process = multiprocessing.get_context("fork").Process(target=self.run, args=(listener,), daemon=True)
        self.process.start()
        listener.close()

    def run(self, listener):
        asyncio.run(self.listen(listener))

    async def listen(self, listener):
        self.loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.serve, sock=listener)
        await server.serve_forever()

    async def serve(self, reader, writer):
        try:
            there = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.carry(reader, there[1]), self.carry(there[0], writer))

    async def carry(self, reader, writer):
        queue = asyncio.Queue()

        async def send():
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(max(0, due - self.loop.time()))
                if not piece:
                    break
                writer.write(piece)
            writer.close()

        sender = asyncio.ensure_future(send())
        try:
            while piece := await reader.read(1 << 16):
                queue.put_nowait((self.loop.time() + self.delay, piece))
        except OSError:
            pass
        queue.put_nowait((self.loop.time() + self.delay, b""))
        await sender


def config_maps(version):
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"cm-{n}", "labels": {"app": "bench"}},
         "data": {"version": version, "text": f"some text of number {n}"}}
        for n in range(1000)
    ]


def mixed(version):
    """What an application of fifty parts is made of; none of it runs a pod."""
    objects = []
    for n in range(50):
        labels = {"app": f"part-{n}"}
        meta = {"name": f"part-{n}", "labels": labels}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{
            "name": "main", "image": f"registry.example.com/part:{version}",
            "env": [{"name": f"V{i}", "value": version} for i in range(5)],
            "ports": [{"containerPort": 8080}], "resources": {"limits": {"memory": "64Mi"}}}]}}
        objects += [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"version": version}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"version": version}},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {
                "selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {
                "replicas": 0, "selector": {"matchLabels": labels}, "template": pod}},
            {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": {
                "rules": [{"host": f"{n}.example.com", "http": {"paths": [{"path": f"/{version}", "pathType": "Prefix",
                    "backend": {"service": {"name": f"part-{n}", "port": {"number": 80}}}}]}}]}},
        ]
    return objects


def yaml(value, indent=""):
    """As people write manifests; every text is quoted where it could be something else."""
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            between = "\n" + indent + "  " if isinstance(inner, dict) else "\n" + indent if isinstance(inner, list) else " "
            deeper = indent + ("  " if isinstance(inner, dict) else "")
            lines.append(f"{key}:{between}{yaml(inner, deeper)}")
        return f"\n{indent}".join(lines)
    if isinstance(value, list):
        return f"\n{indent}".join(f"- {yaml(inner, indent + '  ')}" for inner in value)
    if isinstance(value, str) and value.replace("-", "").isalpha() and value[0].isupper():
        return value
    return json.dumps(value)


SETS = {"1,000 ConfigMaps": config_maps, "300 mixed objects": mixed}


class Bench:
    def __init__(self, folder, kubectl, lab):
        self.folder, self.kubectl, self.lab = folder, kubectl, lab
        self.kubeconfig = str(lab / "admin.kubeconfig")
        self.made, self.number = [], 0
        for name, objects in SETS.items():
            for version in ("1", "2"):
                text = "".join(f"---\n{yaml(one)}\n" for one in objects(version))
                self.file(name, version).write_text(text)

    def file(self, name, version):
        return self.folder / f"{name.split()[-1]}-{version}.yaml"

    def admin(self, *words):
        return subprocess.run([self.kubectl, "--kubeconfig", self.kubeconfig, *words], check=True, capture_output=True)

    def namespace(self):
        self.number += 1
        name = f"bench-{os.getpid()}-{self.number}"
        self.admin("create", "namespace", name)
        self.made.append(name)
        return name

    def apply(self, program, kubeconfig, namespace, mode, file):
        """One run: wall, the process' own user CPU, and the control plane's CPU, in seconds."""
        argv = [*program, "--kubeconfig", str(kubeconfig), "apply", "-n", namespace, *mode, "-f", str(file)]
        self.rest()
        before, started = self.server_cpu(), time.perf_counter()
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=errors)
            limit = threading.Timer(LONGEST, child.kill)
            limit.start()
            _, status, used = os.wait4(child.pid, 0)
            wall = time.perf_counter() - started
            limit.cancel()
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0 and wall < LONGEST:
                errors.seek(0)
                sys.exit(f"bench: {' '.join(argv)}: {errors.read(2000).decode()}")
        return {"wall": wall, "user": used.ru_utime, "server": self.server_cpu() - before, "cut": child.returncode != 0}

    def server_cpu(self):
        """User and system seconds of the API server and etcd."""
        return self.cpu("kube-apiserver", "etcd")

    def cpu(self, *names):
        ticks = 0
        for name in names:
            pid = (self.lab / "run" / f"{name}.pid").read_text().strip()
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def rest(self):
        """Waits until controllers have done what the last run gave them to do."""
        within = time.monotonic() + REST_WITHIN
        parts = ("kube-apiserver", "etcd", "kube-controller-manager")
        while time.monotonic() < within:
            before = self.cpu(*parts)
            time.sleep(REST_FOR)
            if self.cpu(*parts) - before <= REST * REST_FOR:
                return

    def floor(self, client, objects):
        """The seconds in which the control plane makes the objects, at the best of several widths."""
        walls = []
        for width in bare.WIDTHS:
            namespace = self.namespace()
            posts = client.posts(objects, namespace)
            self.rest()
            walls.append(client.send(posts, width))
            self.remove(namespace)
        return min(walls)

    def remove(self, namespace):
        self.admin("delete", "namespace", namespace)
        self.made.remove(namespace)

    def life(self, program, kubeconfig, mode, name, phases=PHASES):
        """create, no-op and update, or the first of them, in a namespace of its own."""
        namespace = self.namespace()
        times = {what: self.apply(program, kubeconfig, namespace, mode, self.file(name, version))
                 for what, version in zip(phases, ("1", "1", "2"))}
        self.remove(namespace)
        return times

    def theirs(self, kubeconfig, mode, name):
        """kubectl's life, and some creates more: they are short, and noise counts for more in them."""
        life = lambda phases: self.life([self.kubectl], kubeconfig, MODES[mode], name, phases)
        return usual([life(PHASES), *(life(PHASES[:1]) for _ in range(CREATES))])

    def rounds(self, n, dyno, kubeconfig, modes, name):
        """dyno's lives in turn with the floor: what is usual of both."""
        lives, floors = {mode: [] for mode in modes}, []
        client = bare.Bare(self.kubectl, kubeconfig)
        for turn in range(n):
            for mode in modes:
                lives[mode].append(self.life([dyno, "kubectl"], kubeconfig, MODES[mode], name))
            if turn < FLOORS:
                floors.append(self.floor(client, SETS[name]("1")))
        return {mode: usual(several) for mode, several in lives.items()}, statistics.median(floors)

    def end(self):
        for name in self.made:
            self.admin("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def usual(lives):
    """The median of wall times. Of CPU time the mean: the kernel counts it in ticks of 4 ms, of which some
    phases have five, and only a mean evens that out."""
    of = {"wall": statistics.median, "user": statistics.fmean, "server": statistics.fmean, "cut": any}
    seen = {what: [life[what] for life in lives if what in life] for what in PHASES}
    return {what: {key: of[key](one[key] for one in ones) for key in of} for what, ones in seen.items()}


def slow(folder, kubectl, kubeconfig):
    """A kubeconfig of the same cluster through the relay."""
    view = bare.view(kubectl, kubeconfig)
    cluster = view["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").rstrip("/").rpartition(":")
    relay = Relay(host, int(port), DELAY)
    cluster["server"] = f"https://127.0.0.1:{relay.port}"
    file = folder / "slow.kubeconfig"
    file.write_text(json.dumps(view))
    return file


def run(options):
    lab = os.environ.get("DYNO_TEST_CLUSTER")
    if not lab:
        sys.exit("bench: DYNO_TEST_CLUSTER is not set: `scripts/cluster up DIR`, then set it to DIR")
    programs = subprocess.run([ROOT / "scripts/cluster", "programs"], check=True, capture_output=True, text=True).stdout.strip()
    kubectl = os.environ.get("DYNO_TEST_KUBECTL", f"{programs}/kubectl")
    dyno = os.environ.get("DYNO_BENCH", str(DYNO))
    if not os.environ.get("DYNO_BENCH"):
        subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "dyno"], cwd=ROOT, check=True)
    table = tables.Table()
    with tempfile.TemporaryDirectory(prefix="dyno-bench.") as folder:
        bench = Bench(pathlib.Path(folder), kubectl, pathlib.Path(lab))
        try:
            for name in SETS:
                near(bench, table, name, dyno, options.rounds)
                if not options.without_delay:
                    far(bench, table, name, dyno, options.rounds)
        finally:
            bench.end()
    if options.write:
        tables.write("deploy", "`kubectl apply` of many objects", table, " ".join(["scripts/bench", *sys.argv[1:]]))
    return 0 if table.is_fine else 1


def ratio(ours, theirs, key):
    return ours[key] / max(theirs[key], 1e-3)


def told(one, key):
    return f"{'> ' if one['cut'] else ''}{one[key]:.3f}"


def held(table, what, words, columns, ours, theirs, floor, limit):
    """A ratio of wall times, held to a limit; where the floor itself is beyond it, to the floor."""
    value, least = ratio(ours, theirs, "wall"), floor and floor / theirs["wall"]
    if not floor or least <= limit:
        table.row(what, words, *columns, f"{value:.4f}", limit=limit, value=value)
        return
    table.row(what, f"{words} (the floor's: {least:.4f}, beyond {limit:g})", *columns, f"{value:.4f}")
    table.row(what, "wall of the floor", *columns, f"{ours['wall'] / floor:.4f}", limit=NEXT_TO, value=ours["wall"] / floor)


def near(bench, table, name, dyno, rounds):
    """On loopback, held to kubectl's default and to its cheapest."""
    theirs = {mode: bench.theirs(bench.kubeconfig, mode, name) for mode in MODES}
    ours, floor = bench.rounds(rounds, dyno, bench.kubeconfig, MODES, name)
    table.head(name, "what", "tool", "wall s", "user CPU s", "control plane's CPU s", "dyno's / its", "limit")
    for what in PHASES:
        default, cheapest = theirs["client-side"][what], theirs["server-side"][what]
        for mode in MODES:
            for tool, one in ((f"kubectl {mode}", theirs[mode][what]), (f"dyno {mode}", ours[mode][what])):
                table.row(what, tool, told(one, "wall"), told(one, "user"), f"{one['server']:.2f}", "")
        mine, is_create = ours["client-side"][what], what == "create"
        if is_create:
            table.row(what, "the floor", f"{floor:.3f}", "", "", "")
        held(table, what, "wall of kubectl's default", ("", "", ""), mine, default, is_create and floor, 0.15)
        for what_of, value, limit in (
                ("kubectl's default", ratio(mine, default, "user"), 0.05),
                ("kubectl's cheapest, both server-side", ratio(ours["server-side"][what], cheapest, "user"), 1.0)):
            table.row(what, f"user CPU of {what_of}", "", "", "", f"{value:.4f}", limit=limit, value=value)


def far(bench, table, name, dyno, rounds):
    """With a round trip of 10 ms more, held to kubectl's default."""
    config = slow(bench.folder, bench.kubectl, bench.kubeconfig)
    theirs = bench.life([bench.kubectl], config, CLIENT, name)
    ours, floor = bench.rounds(rounds, dyno, config, ("client-side",), name)
    ours = ours["client-side"]
    table.head(f"{name}, with a round trip of 10 ms more", "what", "tool", "wall s", "dyno's / its", "limit")
    for what in PHASES:
        table.row(what, "kubectl", told(theirs[what], "wall"), "")
        table.row(what, "dyno", told(ours[what], "wall"), "")
        if what == "create":
            table.row(what, "the floor", f"{floor:.3f}", "")
        held(table, what, "wall of kubectl's", ("",), ours[what], theirs[what], what == "create" and floor, 0.05)
