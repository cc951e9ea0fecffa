#!/bin/bash
# Run a command with a real Kubernetes: run.sh [--node] COMMAND…
#
# KUBECONFIG, where it is set, names one. Otherwise one is built (build.sh, once) and started: a control plane on
# loopback; with --node also a node that runs pods, both inside namespaces of their own, where the command then runs as
# well, so that it reaches pods and Services by their IPs. However the command or this script ends, all of it ends too.
# Where this machine cannot, the command gets the reason as CHRION_NO_CLUSTER, and tests skip with it; with
# CHRION_REQUIRE_CLUSTER=1 that is a failure. CHRION_K8S_STATE names a folder to keep logs in; `run.sh bash` looks around.
set -euo pipefail
HERE=$(dirname "$(realpath "$0")")
CACHE=${CHRION_K8S_CACHE:-$HOME/.cache/chrion-k8s}
export HERE CHRION_K8S_CACHE=$CACHE PYTHON=${PYTHON:-$HERE/../../../.venv/bin/python}
node=
if [ "${1:-}" = --node ]; then
    node=1
    shift
fi
[ -z "${KUBECONFIG:-}" ] || exec "$@"

without() { # REASON COMMAND…
    if [ "${CHRION_REQUIRE_CLUSTER:-}" = 1 ]; then
        echo "kubernetes: $1" >&2
        exit 1
    fi
    export CHRION_NO_CLUSTER=$1
    shift
    exec "$@"
}

# need COMMAND PACKAGE: install it where that is possible; adds to `missing` where it is not
missing=
need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$2"; } >/dev/null || true
    fi
    command -v "$1" >/dev/null || missing+=" $2"
}
need openssl openssl
need setpriv util-linux
[ -z "$node" ] || need ip iproute2
[ -z "$missing" ] || without "Kubernetes needs$missing" "$@"
if [ -n "$node" ]; then
    [ "$(id -u)" = 0 ] || without "a Kubernetes node needs root" "$@"
    unshare --net --mount --pid --fork true 2>/dev/null || without "a Kubernetes node needs namespaces, which are forbidden here" "$@"
    exec 8>/tmp/chrion-k8s.lock # they would share cgroups
    flock 8
fi

code=0
words=$(mktemp)
"$HERE/build.sh" 2>"$words" || code=$?
cat "$words" >&2
reason=$(tail -n 1 "$words")
rm -f "$words"
case $code in
0) ;;
69) without "$reason" "$@" ;;
*) without "Kubernetes could not be built; what was wrong stands above" "$@" ;;
esac

# What a run leaves behind that was killed with no chance to clean up goes when the next one starts.
for folder in /tmp/chrion-k8s.* /dev/shm/chrion-k8s.*; do
    [ -d "$folder" ] && ! [ -d "/proc/${folder##*.}" ] && rm -rf "$folder"
done
keep=${CHRION_K8S_STATE:-}
export STATE=${keep:-/tmp/chrion-k8s.$$} ETCD_DATA=/dev/shm/chrion-k8s.$$ BIN=$CACHE/bin
mkdir -p "$STATE" "$ETCD_DATA"
clean_up() {
    for child in $(jobs -p); do kill "$child" 2>/dev/null || true; done
    wait || true
    rm -rf "$ETCD_DATA"
    [ -n "$keep" ] || rm -rf "$STATE"
}
started=
here=$PWD
command=("$@")
end() {
    local code=$?
    cd "$here"
    clean_up
    [ -n "$started" ] || [ "$code" -ge 128 ] || without "Kubernetes did not start; its last words stand above" "${command[@]}"
    exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

code=0
if [ -n "$node" ]; then
    # When the first process of the namespaces dies, the kernel kills all others in them: pods, shims and daemons.
    setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        "$HERE/node.sh" "$@" || code=$?
    [ ! -e "$STATE/started" ] || started=1
    # v1 has a tree of groups for each controller, v2 has one for all
    find /sys/fs/cgroup -depth -type d \( -path '*/kubepods*' -o -path '*/k8s.io*' \) -exec rmdir {} + 2>/dev/null || true
    exit $code
fi

free_port() { # the first of three that nobody listens on
    local port
    while true; do
        port=$((20000 + RANDOM % 4000 * 3))
        (for p in $port $((port + 1)) $((port + 2)); do ! (: <"/dev/tcp/127.0.0.1/$p") || exit 1; done) 2>/dev/null && break
    done
    echo $port
}
ADDRESS=127.0.0.1
PORT=$(free_port)
. "$HERE/control_plane.sh"
cd "$here"
export KUBECONFIG=$STATE/admin.kubeconfig CHRION_K8S_STATE=$STATE PATH=$BIN:$PATH
started=1
setpriv --pdeathsig TERM "$@" || code=$?
exit $code
