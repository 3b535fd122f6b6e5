"""Writes a docker archive with one layer to stdout: busybox under all its names, and nothing else.

usage: image.py NAME BUSYBOX [ENTRYPOINT_WORD...]
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile


def layer(busybox):
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder, mode in [("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("www", 0o755)]:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        add(archive, "bin/busybox", open(busybox, "rb").read(), 0o755)
        add(archive, "etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644)
        add(archive, "www/index.html", b"a page\n", 0o644)
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo("bin/" + applet)
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
    return buffer.getvalue()


def add(archive, name, content, mode):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def main():
    name, busybox, *entrypoint = sys.argv[1:]
    content = layer(busybox)
    digest = hashlib.sha256(content).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
        "history": [{"created_by": "scripts/cluster"}],
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer_name = digest + "/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        add(archive, config_name, config, 0o644)
        add(archive, layer_name, content, 0o644)
        add(archive, "manifest.json", json.dumps(manifest).encode(), 0o644)


main()
