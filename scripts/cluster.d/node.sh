# One real node beside the fake ones: Debian's containerd and CNI plugins, our kubelet. Sourced by
# scripts/cluster. Its pods are real containers on a bridge of this machine; there are no cluster
# addresses and no names in it (no kube-proxy, no DNS): what is tested on it is what becomes of pods.

node=real-0
node_services=(containerd kubelet)                        # in the order they start
sysctls=(vm.overcommit_memory kernel.panic kernel.panic_on_oops)   # the kubelet sets them for the whole machine

node_settings() {
  port=$(sed -n 's/^PORT=//p' "$dir/env"); url=$(sed -n 's/^URL=//p' "$dir/env")
  bridge=kube$port; address=10.88.$(((port / 10) % 256)).1; socket=$dir/cri/containerd.sock
  # A kubelet kills what it does not know below its root: each lab has one of its own.
  root_group=lab$port
}

# The folders of the root group: one with cgroup v2, one a hierarchy with v1.
root_groups() {
  local hierarchy
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo "/sys/fs/cgroup/$root_group"; return; fi
  for hierarchy in /sys/fs/cgroup/*/; do
    [ ! -f "$hierarchy/cgroup.procs" ] || echo "$hierarchy$root_group"
  done
}

make_root_groups() {
  local folder file controller
  for controller in cpu cpuset memory pids hugetlb; do   # with v2 a group has what its parent gives away
    [ ! -f /sys/fs/cgroup/cgroup.subtree_control ] || echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
  done
  for folder in $(root_groups); do
    mkdir -p "$folder"
    for file in cpuset.cpus cpuset.mems; do              # with v1 a new group has none, and holds nothing
      [ ! -f "$folder/$file" ] || [ -n "$(cat "$folder/$file")" ] || cat "${folder%/*}/$file" > "$folder/$file" 2>/dev/null || true
    done
  done
}

need_node_packages() {
  [ "$(id -u)" = 0 ] || fail "a real node needs root (containers, a bridge)"
  [ -x /usr/lib/cni/bridge ] || need_packages cni-is-missing=containernetworking-plugins
  need_packages containerd=containerd runc=runc ip=iproute2 iptables=iptables busybox=busybox-static
}

start_bridge() {
  ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
  # The kubelet takes no loopback address; this one is reachable from this machine only.
  ip addr replace "$address/24" dev "$bridge"
  ip link set "$bridge" up
  local way
  for way in -i -o; do   # Docker lets nothing through that it does not know
    iptables -C FORWARD "$way" "$bridge" -j ACCEPT 2>/dev/null || iptables -I FORWARD "$way" "$bridge" -j ACCEPT
  done
}

write_containerd_settings() {
  mkdir -p "$dir"/cri/{root,state,net.d}
  cat > "$dir/cri/net.d/10-lab.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "$bridge", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/cri/ipam", "ranges": [[{"subnet": "${address%.1}.0/24", "gateway": "$address"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # restrict_oom_score_adj: in a container runc may not lower it, and dies of trying.
  cat > "$dir/cri/containerd.toml" <<TOML
version = 2
root = "$dir/cri/root"
state = "$dir/cri/state"
[grpc]
  address = "$socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cri/net.d"
TOML
}

import_images() {
  local busybox; busybox=$(command -v busybox)
  ! ctr -a "$socket" -n k8s.io images ls -q | grep -qx localhost/busybox:1 || return 0
  # What holds a pod's network need only not end.
  python3 "$here/cluster.d/image.py" localhost/pause:1 "$busybox" /bin/sleep 1000000000 | ctr -a "$socket" -n k8s.io images import - >/dev/null
  python3 "$here/cluster.d/image.py" localhost/busybox:1 "$busybox" | ctr -a "$socket" -n k8s.io images import - >/dev/null
}

make_node_keys() {
  (
    cd "$dir/pki"; umask 077
    [ -f node.crt ] || certificate node "/O=system:nodes/CN=system:node:$node" clientAuth
    [ -f node-server.crt ] || certificate node-server "/CN=$node" serverAuth "IP:$address,DNS:$node"
  )
  kubeconfig_file "$dir/node.kubeconfig" node \
    "{client-certificate-data: $(base64 -w0 "$dir/pki/node.crt"), client-key-data: $(base64 -w0 "$dir/pki/node.key")}"
}

# failCgroupV1: Kubernetes 1.35 and newer refuse cgroup v1 unless told.
write_kubelet_settings() {
  cat > "$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$root_group
containerRuntimeEndpoint: unix://$socket
address: $address
port: $((port + 6))
healthzPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/pki/node-server.crt
tlsPrivateKeyFile: $dir/pki/node-server.key
failSwapOn: false
clusterDNS: [$address]
makeIPTablesUtilChains: false
evictionHard: {memory.available: "100Mi"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
syncFrequency: 10s
volumeStatsAggPeriod: 10s
nodeStatusUpdateFrequency: 5s
nodeLeaseDurationSeconds: 40
registerWithTaints: [{key: real, value: "yes", effect: NoSchedule}]
podLogsDir: $dir/podlogs
volumePluginDir: $dir/kubelet/plugins
YAML
}

node_is_ready() { [ "$(kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]; }

node_up() {
  [ $# -eq 1 ] || usage
  [ -d "$1/run" ] || fail "no control plane's folder: $1"
  dir=$(cd "$1" && pwd)
  need_node_packages
  lock
  node_settings
  is_alive kube-apiserver || fail "the control plane of $dir does not run: scripts/cluster up $dir"
  start_bridge
  write_containerd_settings
  start containerd --config "$dir/cri/containerd.toml"
  await containerd 20 ctr -a "$socket" version >/dev/null 2>&1
  import_images
  make_node_keys
  make_root_groups
  write_kubelet_settings
  [ -f "$dir/run/sysctls" ] || sysctl "${sysctls[@]}" > "$dir/run/sysctls" 2>/dev/null || true
  start kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/node.kubeconfig" --hostname-override "$node" --node-ip "$address" \
    --root-dir "$dir/kubelet" --cert-dir "$dir/pki" --node-labels type=real -v 1
  await kubelet 60 node_is_ready
  # No reboot on a kernel's oops, as before.
  grep panic "$dir/run/sysctls" 2>/dev/null | tr -d ' ' | xargs -r sysctl -q -w 2>/dev/null || true
  echo "$node"
}

# The pods first, by the kubelet where it lives; then whatever is left of them.
node_down() {
  [ -f "$dir/kubelet.yaml" ] || return 0
  node_settings
  local n id network mounted group op chain
  if is_alive kubelet && is_alive kube-apiserver; then
    timeout 20 "$programs/kubectl" --kubeconfig "$dir/admin.kubeconfig" cordon "$node" >/dev/null 2>&1 || true
    timeout 20 "$programs/kubectl" --kubeconfig "$dir/admin.kubeconfig" delete pods -A --field-selector "spec.nodeName=$node" --grace-period=1 --wait=false >/dev/null 2>&1 || true
    n=60
    while [ -n "$(ctr -a "$socket" -n k8s.io tasks ls -q 2>/dev/null)" ] && [ $((n--)) -gt 0 ]; do sleep 0.3; done
  fi
  stop kubelet
  if is_alive containerd; then
    for id in $(ctr -a "$socket" -n k8s.io containers ls -q); do
      network=$(ctr -a "$socket" -n k8s.io containers info "$id" | grep -om1 '/run/netns/cni-[0-9a-f-]*' || true)
      ctr -a "$socket" -n k8s.io tasks rm -f "$id" >/dev/null 2>&1 || true
      ctr -a "$socket" -n k8s.io containers rm "$id" 2>/dev/null || true
      [ -z "$network" ] || ip netns del "${network##*/}" 2>/dev/null || true
    done
  fi
  stop containerd
  for op in -i -o; do iptables -D FORWARD "$op" "$bridge" -j ACCEPT 2>/dev/null || true; done
  ip link del "$bridge" 2>/dev/null || true
  [ ! -f "$dir/run/sysctls" ] || sysctl -q -p "$dir/run/sysctls" >/dev/null 2>&1 || true
  rm -f "$dir/run/sysctls"; rm -rf "$dir/cri/ipam"
  awk -v d="$dir/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r mounted; do umount -l "$mounted" || true; done
  for group in $(root_groups); do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  if is_alive kube-apiserver; then
    timeout 20 "$programs/kubectl" --kubeconfig "$dir/admin.kubeconfig" delete node "$node" --ignore-not-found >/dev/null 2>&1 || true
  fi
  rm -f "$dir/kubelet.yaml"
}
