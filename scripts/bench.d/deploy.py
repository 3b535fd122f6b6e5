"""`scripts/bench deploy`: `dyno kubectl apply` beside kubectl, on a real API server.

1,000 ConfigMaps and a mixed set of 300 objects are created, applied again unchanged, and updated; by
kubectl as it is by default (client-side, validated), by kubectl at its cheapest (server-side, not
validated), and by dyno in both ways. Each run has a namespace of its own. With a round trip of 10 ms
more, a relay between client and server holds every piece back for half of it in each direction.
"""
import asyncio
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DYNO = TARGET / f"{platform.machine()}-unknown-linux-gnu" / "release" / "dyno"
CLIENT, SERVER = ["--validate=strict"], ["--server-side", "--validate=false"]
MODES = {"client-side": CLIENT, "server-side": SERVER}
DELAY = 0.005


class Relay:
    """A TCP relay that holds back what it carries, each way for `delay` seconds."""

    def __init__(self, host, port, delay):
        self.target, self.delay = (host, port), delay
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self.run, args=(started,), daemon=True).start()
        started.wait()

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

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


SETS = {"1,000 ConfigMaps": config_maps, "300 mixed objects": mixed}


class Bench:
    def __init__(self, folder, kubectl, kubeconfig):
        self.folder, self.kubectl, self.kubeconfig = folder, kubectl, kubeconfig
        self.made, self.number = [], 0
        for name, objects in SETS.items():
            for version in ("1", "2"):
                text = "".join(f"---\n{json.dumps(one)}\n" for one in objects(version))
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
        """Wall and user CPU seconds of one run."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        started = time.perf_counter()
        ran = subprocess.run([*program, "--kubeconfig", str(kubeconfig), "apply", "-n", namespace, *mode, "-f", str(file)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wall = time.perf_counter() - started
        if ran.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, program))} apply {' '.join(mode)}: {ran.stderr.decode()[:2000]}")
        return wall, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    def life(self, program, kubeconfig, mode, name):
        """create, no-op and update in a namespace of its own."""
        namespace = self.namespace()
        times = {what: self.apply(program, kubeconfig, namespace, mode, self.file(name, version))
                 for what, version in (("create", "1"), ("no-op", "1"), ("update", "2"))}
        self.admin("delete", "namespace", namespace, "--wait=false")
        self.made.remove(namespace)
        return times

    def end(self):
        for name in self.made:
            self.admin("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def slow(folder, kubectl, kubeconfig):
    """A kubeconfig of the same cluster through the relay."""
    view = json.loads(subprocess.run([kubectl, "--kubeconfig", kubeconfig, "config", "view", "--raw", "--flatten", "-o", "json"],
                                     check=True, capture_output=True).stdout)
    cluster = view["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").rstrip("/").rpartition(":")
    relay = Relay(host, int(port), DELAY)
    cluster["server"] = f"https://127.0.0.1:{relay.port}"
    file = folder / "slow.kubeconfig"
    file.write_text(json.dumps(view))
    return file


def row(what, figure, limit, unit=""):
    fine = limit is None or figure <= limit
    shown = "" if limit is None else f"≤ {limit:g}{unit}"
    print(f"  {what:<46} {figure:>8.3f}{unit} {shown:>9} {'' if limit is None else 'ok' if fine else 'OVER'}")
    return fine


def run(options):
    lab = os.environ.get("DYNO_TEST_CLUSTER")
    if not lab:
        sys.exit("bench: DYNO_TEST_CLUSTER is not set: `scripts/cluster up DIR`, then set it to DIR")
    programs = subprocess.run([ROOT / "scripts/cluster", "programs"], check=True, capture_output=True, text=True).stdout.strip()
    kubectl = os.environ.get("DYNO_TEST_KUBECTL", f"{programs}/kubectl")
    dyno = pathlib.Path(os.environ.get("DYNO_BENCH", DYNO))
    if not os.environ.get("DYNO_BENCH"):
        subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "dyno"], cwd=ROOT, check=True)
    kubeconfig = str(pathlib.Path(lab) / "admin.kubeconfig")
    fine = []
    with tempfile.TemporaryDirectory(prefix="dyno-bench.") as folder:
        folder = pathlib.Path(folder)
        bench = Bench(folder, kubectl, kubeconfig)
        places = {"": kubeconfig}
        if not options.without_delay:
            places[" + 10 ms"] = str(slow(folder, kubectl, kubeconfig))
        try:
            for name in SETS:
                for place, config in places.items():
                    fine += one(bench, name, place, config)
        finally:
            bench.end()
    return 0 if all(fine) else 1


def one(bench, name, place, config):
    print(f"{name}{place}")
    theirs = {mode: bench.life([bench.kubectl], config, flags, name) for mode, flags in MODES.items()}
    dyno = [str(pathlib.Path(os.environ.get("DYNO_BENCH", DYNO))), "kubectl"]
    ours = {mode: bench.life(dyno, config, flags, name) for mode, flags in MODES.items()}
    fine = []
    for what in ("create", "no-op", "update"):
        for mode in MODES:
            print(f"  {what}: kubectl {mode} {theirs[mode][what][0]:.2f} s wall, {theirs[mode][what][1]:.2f} s user; "
                  f"dyno {ours[mode][what][0]:.2f} s wall, {ours[mode][what][1]:.2f} s user")
        default, cheapest = theirs["client-side"][what], theirs["server-side"][what]
        mine = ours["client-side"][what]
        fine.append(row(f"{what}: wall, of kubectl's default", mine[0] / default[0], 0.05 if place else 0.15))
        if not place:
            fine.append(row(f"{what}: user CPU, of kubectl's default", mine[1] / default[1], 0.05))
            fine.append(row(f"{what}: user CPU, of kubectl's cheapest", ours["server-side"][what][1] / cheapest[1], 1.0))
    return fine
