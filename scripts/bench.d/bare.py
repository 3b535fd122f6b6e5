"""The floor of `scripts/bench deploy`: what a control plane needs to make the objects that dyno makes.

The POSTs that create them are written before the clock runs, byte for byte what any client has to
send, in the order in which dyno begins them; the connections are open already. One loop then writes and
reads them with nothing else to do: no manifest is read, nothing is asked before, nothing is told. The
quickest of several widths counts, the widest being as wide as dyno ever is.
"""
import base64
import json
import pathlib
import selectors
import socket
import ssl
import subprocess
import tempfile
import time

# Up to the width that dyno goes to (src/deploy/kubectl/host/abreast.rs).
WIDTHS = (4, 8, 16, 32)
# Begun last, as dyno does: they refer to others, and give controllers work.
LATE = ("Service", "Ingress", "Deployment")
RESOURCES = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def view(kubectl, kubeconfig):
    """A kubeconfig with all that it names in it."""
    argv = [kubectl, "--kubeconfig", str(kubeconfig), "config", "view", "--raw", "--flatten", "-o", "json"]
    return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Bare:
    """Connections to the server of a kubeconfig, as its user."""

    def __init__(self, kubectl, kubeconfig):
        shown = view(kubectl, kubeconfig)
        cluster, user = shown["clusters"][0]["cluster"], shown["users"][0]["user"]
        host, _, port = cluster["server"].removeprefix("https://").rstrip("/").rpartition(":")
        self.host, self.port, self.token = host, int(port), user.get("token")
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.tls = ssl.create_default_context(cadata=authority)
        if "client-certificate-data" in user:
            with tempfile.TemporaryDirectory() as folder:
                files = [pathlib.Path(folder) / name for name in ("certificate", "key")]
                for file, what in zip(files, ("client-certificate-data", "client-key-data")):
                    file.write_bytes(base64.b64decode(user[what]))
                self.tls.load_cert_chain(*files)

    def posts(self, objects, namespace):
        late = {kind: place + 1 for place, kind in enumerate(LATE)}
        return [self.post(one, namespace) for one in sorted(objects, key=lambda one: late.get(one["kind"], 0))]

    def post(self, one, namespace):
        one = json.loads(json.dumps(one))
        one["metadata"].update(namespace=namespace, annotations={})
        one["metadata"]["annotations"] = {LAST_APPLIED: compact(one) + "\n"}
        body = compact(one).encode()
        head = [
            f"POST {RESOURCES[one['kind']].format(namespace)}"
            "?fieldManager=kubectl-client-side-apply&fieldValidation=Strict HTTP/1.1",
            f"host: {self.host}:{self.port}", "accept: application/json", "content-type: application/json",
            f"content-length: {len(body)}", *([f"authorization: Bearer {self.token}"] if self.token else [])]
        return "\r\n".join([*head, "", ""]).encode() + body

    def connection(self):
        tcp = socket.create_connection((self.host, self.port))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(tcp, server_hostname=self.host)

    def send(self, posts, width):
        """Sends them all, so many side by side; the seconds that takes."""
        waiting = iter(posts)
        with selectors.DefaultSelector() as busy:
            for _ in range(width):
                connection = self.connection()
                connection.setblocking(False)
                busy.register(connection, selectors.EVENT_READ, bytearray())
            started = time.perf_counter()
            for key in list(busy.get_map().values()):
                go_on(busy, key, waiting)
            while busy.get_map():
                for key, _ in busy.select():
                    receive(key)
                    if is_whole(key.data):
                        go_on(busy, key, waiting)
            return time.perf_counter() - started


def go_on(busy, key, waiting):
    """The next one on a connection that has its answer; without one the connection is done with."""
    post = next(waiting, None)
    if post is None:
        busy.unregister(key.fileobj)
        key.fileobj.close()
        return
    key.data.clear()
    # So little never has to wait: there is nothing else on its way.
    if key.fileobj.send(post) != len(post):
        raise RuntimeError("a bare request did not leave at once")


def receive(key):
    """All that is there by now; TLS may hold more than the socket shows."""
    while True:
        try:
            piece = key.fileobj.recv(1 << 16)
        except ssl.SSLWantReadError:
            return
        if not piece:
            raise RuntimeError("the server hung up")
        key.data.extend(piece)


def is_whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 201 "):
        raise RuntimeError(f"a bare request was refused: {bytes(answer[:500])!r}")
    _, known, length = head.lower().partition(b"content-length:")
    return len(body) >= int(length.split(b"\r\n")[0]) if known else body.endswith(b"0\r\n\r\n")
