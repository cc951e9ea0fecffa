#!/bin/bash
# Run a command with a control plane and a node that runs pods: the first process of the namespaces that run.sh makes.
# All that the daemons write under /var and /run stays in $STATE or in memory, and nothing that they set outlives them.
set -euo pipefail
ADDRESS=10.99.0.1
PORT=6443
ip link set lo up
ip link add node0 type veth peer name node0p
ip addr add $ADDRESS/24 dev node0
ip link set node0p up
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

# The kubelet insists on these values, for the whole machine: let it read them here and leave the machine's as they are.
mkdir -p "$STATE/sysctl"
while read -r name value; do
    echo "$value" >"$STATE/sysctl/$name"
    mount --bind "$STATE/sysctl/$name" "/proc/sys/${name//.//}"
done <<<"vm.overcommit_memory 1
vm.panic_on_oom 0
kernel.panic 10
kernel.panic_on_oops 1
kernel.keys.root_maxkeys 1000000
kernel.keys.root_maxbytes 25000000"

mkdir -p "$STATE"/{var,var-work,containerd,kubelet,network}
mount -t overlay overlay -o "lowerdir=$CHRION_K8S_CACHE/node/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=/var,upperdir=$STATE/var,workdir=$STATE/var-work" /var
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/containerd
mount --make-rshared /

here=$PWD
. "$HERE/control_plane.sh"

cat >network/10-bridge.conflist <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >containerd.toml <<TOML
version = 2
root = "$STATE/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  max_container_log_line_size = 16384
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/network"
TOML
daemon containerd containerd --config "$STATE/containerd.toml"
wait_for 60 "containerd's answering" ctr version
"$PYTHON" "$HERE/image.py" pause.tar localhost/pause:1 /usr/bin/busybox sleep infinity
ctr -n k8s.io images import pause.tar >/dev/null

: >resolv.conf
cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ADDRESS
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $STATE/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: $STATE/resolv.conf
nodeStatusUpdateFrequency: 5s
readOnlyPort: 0
healthzPort: 0
volumePluginDir: $STATE/flex
YAML
daemon kubelet "$BIN/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/node.kubeconfig" \
    --root-dir="$STATE/kubelet" --cert-dir="$STATE/kubelet/pki" --hostname-override=node1 --node-ip=$ADDRESS \
    --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock \
    --pod-infra-container-image=localhost/pause:1
daemon kube-proxy "$BIN/kube-proxy" --kubeconfig="$STATE/proxy.kubeconfig" --hostname-override=node1 \
    --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 --bind-address=$ADDRESS \
    --conntrack-max-per-core=0 --conntrack-min=0 --conntrack-tcp-timeout-established=0s \
    --conntrack-tcp-timeout-close-wait=0s --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
wait_for 90 "the node's appearing" "${kubectl[@]}" get node node1
wait_for 90 "the node's being ready" "${kubectl[@]}" wait --for=condition=Ready node/node1 --timeout=1s

cd "$here"
export KUBECONFIG=$STATE/admin.kubeconfig CHRION_K8S_STATE=$STATE PATH=$BIN:$PATH
trap 'exit 130' INT
trap 'exit 143' TERM HUP
touch "$STATE/started"
code=0
setpriv --pdeathsig TERM "$@" || code=$?
exit $code
