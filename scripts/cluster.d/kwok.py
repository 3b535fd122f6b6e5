#!/usr/bin/env python3
"""kwok.py LOGFILE: prints kwok's configuration: nodes that are there, pods that can fail on demand.

A pod does what its annotation `lab/behaviour` says; without one, what a word in an image's name says:

    ready (default)                                      Ready at once
    slow                 image ~ slow                    Running, Ready after 5 s (lab/delay: "12s")
    never-ready          image ~ never-ready             Running, its readiness probe fails
    image-pull-backoff   image ~ does-not-exist|missing  Pending, ErrImagePull, then ImagePullBackOff
    crashloop            image ~ crash                   terminated, CrashLoopBackOff, restarts counted up
    config-error                                         Pending, CreateContainerConfigError
    fail                 image ~ always-fail             phase Failed (in a Job; elsewhere: crashloop)

A Job's pod completes 300 ms after it is Ready (lab/run-for: "2s").
The log that every container has is LOGFILE's, an absolute path.
"""
import json
import sys

BEHAVIOUR = (
    '((.metadata.annotations["lab/behaviour"] // ([.spec.containers[].image] |'
    ' if any(test("does-not-exist|not-found|missing")) then "image-pull-backoff"'
    ' elif any(test("crash")) then "crashloop"'
    ' elif any(test("never-ready")) then "never-ready"'
    ' elif any(test("slow")) then "slow"'
    ' elif any(test("always-fail")) then "fail" else "ready" end)) as $b |'
    # A failed pod of these owners is replaced at once, tens of pods a second.
    ' if $b == "fail" and ([.metadata.ownerReferences[]?.kind] |'
    ' any(. == "ReplicaSet" or . == "StatefulSet" or . == "DaemonSet")) then "crashloop" else $b end)'
)
READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
NOW = "{{ $now | Quote }}"

LIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
NEW = {"key": ".status.podIP", "operator": "DoesNotExist"}
STARTED = {"key": ".status.podIP", "operator": "Exists"}


def one_of(key, *values):
    return {"key": key, "operator": "In", "values": list(values)}


def behaves(*behaviours):
    return one_of(BEHAVIOUR, *behaviours)


def warning(reason, message):
    return {"type": "Warning", "reason": reason, "message": message}


def after(milliseconds, annotation=None):
    delay = {"durationMilliseconds": milliseconds}
    if annotation:
        delay["durationFrom"] = {"expressionFrom": f'.metadata.annotations["{annotation}"]'}
    return delay


# --- pieces of a status, as kwok's templates of YAML -------------------------------------------

NET = """
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
startTime: {{ $now | Quote }}
"""

INIT_DONE = """
initContainerStatuses:
{{ range .spec.initContainers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  imageID: ""
  {{ if eq .restartPolicy "Always" }}
  started: true
  state: {running: {startedAt: {{ $now | Quote }}}}
  {{ else }}
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
  {{ end }}
{{ end }}
"""

GATES = """
{{ range .spec.readinessGates }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ .conditionType | Quote }}
{{ end }}
"""

RUNNING = f"{{running: {{startedAt: {NOW}}}}}"
CRASHED = f'{{terminated: {{exitCode: 1, reason: Error, message: "boom", startedAt: {NOW}, finishedAt: {NOW}}}}}'
COMPLETED = f"{{terminated: {{exitCode: 0, reason: Completed, startedAt: {NOW}, finishedAt: {NOW}}}}}"


def conditions(ready, reason="", message=""):
    text = "conditions:\n"
    for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"):
        holds = ready or kind in ("PodReadyToStartContainers", "Initialized")
        text += f'- lastTransitionTime: {NOW}\n  status: "{holds}"\n  type: {kind}\n'
        if reason and not holds:
            text += f"  reason: {reason}\n  message: {message}\n"
    return text


def waiting(reason, message):
    return f"{{waiting: {{reason: {reason}, message: {message}}}}}"


def containers(state, ready=False, started=True, last="", restarts="0"):
    return f"""
containerStatuses:
{{{{ range $index, $item := .spec.containers }}}}
- image: {{{{ $item.image | Quote }}}}
  imageID: ""
  name: {{{{ $item.name | Quote }}}}
  ready: {str(ready).lower()}
  started: {str(started).lower()}
  restartCount: {restarts}
  state: {state}
  {last}
{{{{ end }}}}
"""


UNREADY = conditions(False, "ContainersNotReady", '"containers with unready status"')
IS_READY = conditions(True) + GATES + containers(RUNNING, ready=True) + INIT_DONE + NET + "phase: Running\n"
IS_UP = UNREADY + containers(RUNNING) + INIT_DONE + NET + "phase: Running\n"


def document(kind, name, spec):
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def stage(name, when, status, kind="Pod", delay=None, event=None):
    following = {"statusTemplate": "{{ $now := Now }}\n{{ $root := . }}\n" + status}
    if event:
        following["event"] = event
    spec = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": when},
        "next": following,
    }
    if delay:
        spec["delay"] = delay
    return document("Stage", name, spec)


# --- nodes: told to be Ready, and told again long after -----------------------------------------

NODE = """
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ or $root.metadata.creationTimestamp $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- address: {{ NodeIP | Quote }}
  type: InternalIP
- address: {{ NodeName | Quote }}
  type: Hostname
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
"""

NODE_FACTS = """
allocatable:
{{ YAML .status.allocatable 1 }}
capacity:
{{ YAML .status.capacity 1 }}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: kwok
  kernelVersion: kwok
  kubeProxyVersion: kwok
  kubeletVersion: kwok
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
phase: Running
"""

NODES = [
    stage(
        "node-initialize",
        [{"key": READY, "operator": "NotIn", "values": ["True"]}],
        NODE + NODE_FACTS,
        kind="Node",
    ),
    stage(
        "node-heartbeat-with-lease",
        [one_of(".status.phase", "Running"), one_of(READY, "True")],
        NODE,
        kind="Node",
        delay={"durationMilliseconds": 600000, "jitterDurationMilliseconds": 610000},
    ),
]

# --- pods --------------------------------------------------------------------------------------

NOT_PULLED = waiting("ErrImagePull", '{{ printf "failed to pull and unpack image %q: not found" $item.image | Quote }}')
PULL_BACKOFF = waiting("ImagePullBackOff", '{{ printf "Back-off pulling image %q" $item.image | Quote }}')
NO_SECRET = waiting("CreateContainerConfigError", r'"secret \"x\" not found"')
CRASH_BACKOFF = waiting(
    "CrashLoopBackOff", '{{ printf "back-off 10s restarting failed container=%s" $item.name | Quote }}'
)
ONE_MORE = "{{ add ( index $root.status.containerStatuses $index ).restartCount 1 }}"

PODS = [
    stage("pod-ready", [LIVE, NEW, behaves("ready")], IS_READY),
    stage("pod-slow-start", [LIVE, NEW, behaves("slow")], IS_UP),
    stage(
        "pod-slow-ready",
        [LIVE, behaves("slow"), STARTED, one_of(READY, "False")],
        IS_READY,
        delay=after(5000, "lab/delay"),
    ),
    stage(
        "pod-never-ready",
        [LIVE, NEW, behaves("never-ready")],
        IS_UP,
        event=warning("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ),
    stage(
        "pod-image-pull",
        [LIVE, NEW, behaves("image-pull-backoff")],
        UNREADY + containers(NOT_PULLED, started=False) + NET + "phase: Pending\n",
        event=warning("Failed", "Failed to pull image: not found"),
    ),
    stage(
        "pod-image-pull-backoff",
        [
            LIVE,
            behaves("image-pull-backoff"),
            one_of(".status.containerStatuses.[].state.waiting.reason", "ErrImagePull"),
        ],
        containers(PULL_BACKOFF, started=False),
        delay=after(1000),
        event=warning("BackOff", "Back-off pulling image"),
    ),
    stage(
        "pod-config-error",
        [LIVE, NEW, behaves("config-error")],
        UNREADY + containers(NO_SECRET, started=False) + NET + "phase: Pending\n",
        event=warning("Failed", 'Error: secret "x" not found'),
    ),
    stage(
        "pod-crash",
        [LIVE, NEW, behaves("crashloop")],
        UNREADY + containers(CRASHED, started=False) + INIT_DONE + NET + "phase: Running\n",
    ),
    stage(
        "pod-crashloop",
        [
            LIVE,
            behaves("crashloop"),
            STARTED,
            {"key": ".status.containerStatuses.[].restartCount | select( . < 6 )", "operator": "Exists"},
        ],
        containers(CRASH_BACKOFF, started=False, last="lastState: " + CRASHED, restarts=ONE_MORE),
        delay=after(2000),
        event=warning("BackOff", "Back-off restarting failed container"),
    ),
    stage(
        "pod-fail",
        [LIVE, NEW, behaves("fail")],
        UNREADY + containers(CRASHED, started=False) + NET + "phase: Failed\n",
    ),
    stage(
        "pod-complete",
        [
            LIVE,
            one_of(".status.phase", "Running"),
            one_of(".metadata.ownerReferences.[].kind", "Job"),
            behaves("ready", "slow"),
            one_of(READY, "True"),
        ],
        conditions(False, "PodCompleted", '""') + containers(COMPLETED, started=False) + "phase: Succeeded\n",
        delay=after(300, "lab/run-for"),
    ),
    document(
        "Stage",
        "pod-delete",
        {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]},
            "next": {"finalizers": {"empty": True}, "delete": True},
        },
    ),
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    logs = document("ClusterLogs", "all", {"logs": [{"logsFile": sys.argv[1], "follow": False}]})
    # JSON is YAML, and needs no library to write.
    print("\n---\n".join(json.dumps(part, indent=1) for part in [*NODES, *PODS, logs]))


if __name__ == "__main__":
    main()
