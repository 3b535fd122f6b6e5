"""`scripts/bench overhead`: containers beside the docker command line, and a crowd of jobs.

A daemon of the bench's own, with the tests' images; nothing is pulled. Every pair is interleaved: the
same stages by dyno and by `docker`, and the same job in a sandbox.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE = "dyno-test/bash:1"
CROWD = 30
# Rules of the host's firewall belong to others.
OPTIONS = ["--iptables=false", "--ip6tables=false"]


class Daemon:
    """dockerd of the bench's own."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dyno-bench-docker."))
        self.script("up", *OPTIONS)
        self.socket = self.folder / "docker.sock"
        return self

    def __exit__(self, *_):
        self.script("down")
        shutil.rmtree(self.folder, ignore_errors=True)

    def script(self, verb, *options):
        command = [ROOT / "scripts/docker", verb, self.folder, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def docker(self, *words, stdin=subprocess.DEVNULL):
        command = ["docker", "-H", f"unix://{self.socket}", *map(str, words)]
        subprocess.run(command, check=True, stdin=stdin, stdout=subprocess.DEVNULL)

    def environment(self):
        return f"{{ docker: {{ socket: {self.socket}, images: ['**'], pull: [never] }} }}"


def timed(action):
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def whole_job(job):
    """Every call that gitlab-runner makes for a trivial job; milliseconds of each."""
    scripts = [(job.script(name, "/builds/group/project", [command]), stage) for name, stage, command in STAGES]
    calls = [("config", []), ("prepare", [])]
    calls += [("run", [script, stage]) for script, stage in scripts]
    calls += [("cleanup", [])]
    return [job.measure(job.verb(verb, *more))[0] for verb, more in calls]


STAGES = [
    ("one", "prepare_script", "true"),
    ("two", "get_sources", "true"),
    ("three", "build_script", "echo built"),
    ("four", "cleanup_file_variables", "true"),
]


def by_hand(daemon, folder, job):
    """The same stages by the docker command line: a container, an exec for each script, its end."""
    name = f"by-hand-{os.getpid()}"
    times = [timed(lambda: daemon.docker("run", "-d", "--name", name, "--network", "none", IMAGE, "sleep", "600"))]
    for file, _, command in STAGES:
        script = job.script("hand-" + file, "/builds/group/project", [command])
        with open(script, "rb") as text:
            times.append(timed(lambda: daemon.docker("exec", "-i", name, "bash", stdin=text)))
    times.append(timed(lambda: daemon.docker("rm", "-f", name)))
    return times


def measure(pairs, kit):
    """Rows of whole jobs and of single stages."""
    # The daemon and what it starts are nobody's to wait for.
    kit.adopt_orphans(False)
    with Daemon() as daemon:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="dyno-bench."))
        folder.chmod(0o755)
        try:
            contained = kit.Bench(folder / "contained", daemon.environment(), IMAGE)
            sandboxed = kit.Bench(folder / "sandboxed")
            hand, inside, outside = [], [], []
            for pair in range(pairs + 1):
                rows = (by_hand(daemon, folder, contained), whole_job(contained), whole_job(sandboxed))
                if pair > 0:  # the first one fills caches
                    for found, to in zip(rows, (hand, inside, outside)):
                        to.append(found)
            fine = tell_jobs(hand, inside, outside, kit)
            return fine + crowd(folder, daemon, kit)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def tell_jobs(hand, inside, outside, kit):
    median = statistics.median
    # One exec against one stage, each with its neighbours of the same round.
    execs = [median(row[1:-1]) for row in hand]
    stages = [median(row[2:-1]) for row in inside]
    added = median(stage - bare for stage, bare in zip(stages, execs))
    ratio = median(sum(out) / sum(ins) for out, ins in zip(outside, inside))
    return [
        kit.row("a bare `docker exec`, wall", median(execs), "ms", None),
        kit.row("a stage in docker through dyno, wall", median(stages), "ms", None),
        kit.row("added by a stage over `docker exec`, wall", added, "ms", 60),
        kit.row("the job's stages by `docker`, wall", median(map(sum, hand)), "ms", None),
        kit.row("a whole trivial job in docker, wall", median(map(sum, inside)), "ms", None),
        kit.row("its prepare", median(row[1] for row in inside), "ms", None),
        kit.row("its cleanup", median(row[-1] for row in inside), "ms", None),
        kit.row("a whole trivial job in a sandbox, wall", median(map(sum, outside)), "ms", None),
        kit.row("sandbox job / docker job", ratio, "", 0.25),
    ]


def crowd(folder, daemon, kit):
    """Sizes while thirty jobs at once, half of them in containers, each drive a small load."""
    with kit.quiet_server() as url:
        load = f"dyno load --target {url} --get / --users 2 --spawn-rate 2/s --duration 8s"
        jobs = [
            kit.Bench(folder / f"job-{n}", *((daemon.environment(), IMAGE) if n % 2 else ()), number=n)
            for n in range(CROWD)
        ]
        for job in jobs:
            job.measure(job.verb("config"))
        prepares = [job.start(job.verb("prepare")) for job in jobs]
        ended(prepares, jobs)
        runs = []
        for job in jobs:
            file = job.script("load", "/builds/group/project", [load])
            log = open(job.tmp / "load.log", "wb")
            runs.append(job.start(job.verb("run", file, "build_script"), stdout=log, stderr=subprocess.STDOUT))
        most = {}
        while any(run.poll() is None for run in runs):
            sizes = kit.sizes_of_all(folder)
            if sizes.get("n_load", 0) >= most.get("n_load", 0) and total(sizes) > total(most):
                most = sizes
            time.sleep(0.2)
        ended(runs, jobs)
        ended([job.start(job.verb("cleanup")) for job in jobs], jobs)
    n = CROWD
    print(f"{n} jobs at once, {most.get('n_load', 0)} of them with a load at the moment that counts")
    return [
        kit.row("PSS of all drivers / jobs", most.get("run", 0) / n, "MB", None),
        kit.row("PSS of all guests / jobs", most.get("load", 0) / n, "MB", None),
        kit.row("PSS of the containers' first processes / jobs", most.get("hold", 0) / n, "MB", None),
        kit.row("drivers, guests and first processes / jobs", total(most) / n, "MB", 16),
    ]


def total(sizes):
    return sum(sizes.get(verb, 0) for verb in ("run", "load", "hold", "inside"))


def ended(processes, jobs):
    for process, job in zip(processes, jobs):
        if process.wait() != 0:
            log = job.tmp / "load.log"
            sys.exit(f"bench: a job of the crowd failed:\n{log.read_text() if log.exists() else process.args}")
