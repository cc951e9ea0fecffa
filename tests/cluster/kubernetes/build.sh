#!/bin/bash
# Build the Kubernetes that the tests run on, once, into CHRION_K8S_CACHE (default ~/.cache/chrion-k8s; 0.6 GB).
#
# It comes from Debian's packages alone: the source package of Kubernetes 1.20.2 in bookworm, which holds the full tree,
# built with bookworm's Go 1.19; and etcd, containerd, runc, CNI plug-ins and iptables as they are packaged. Nothing but
# missing tools is installed on the machine. Takes about 7 minutes on 2 cores and 4.5 GB while it builds.
# Exit code 69: this machine cannot, and the last line of standard error says why.
set -euo pipefail
CACHE=${CHRION_K8S_CACHE:-$HOME/.cache/chrion-k8s}
SUITE=bookworm
VERSION=1.20.5+really1.20.2-1.1+deb12u1
COMMANDS=(kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet kube-proxy)
BUILD_PACKAGES=(golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev etcd-server)
NODE_PACKAGES=(containerd runc containernetworking-plugins iptables libip4tc2 libip6tc2 libxtables12 libnftnl11 libmnl0
    conntrack libnetfilter-conntrack3 libnfnetlink0 libseccomp2 busybox-static)

say() { echo "kubernetes: $SECONDS s: $*"; }
cannot() { echo "$*" >&2; exit 69; }

mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
stamp="$VERSION ${COMMANDS[*]}"
[ "$(cat "$CACHE/ok" 2>/dev/null)" = "$stamp" ] && exit 0

command -v apt-get >/dev/null || cannot "Kubernetes is built from Debian packages, and there is no apt-get"
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
    sed -nE 's/^URIs:[[:space:]]*([^ ]+).*/\1/p; s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^ ]+).*/\2/p' |
    grep -E '/debian/?$' | sed -n 1p)
[ -n "$mirror" ] || cannot "Kubernetes is built from Debian packages, and apt's sources name no Debian mirror"
missing=()
command -v dpkg-source >/dev/null || missing+=(dpkg-dev)
command -v xz >/dev/null || missing+=(xz-utils)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || cannot "building Kubernetes needs ${missing[*]}: apt-get install ${missing[*]}"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}"; } \
        >/dev/null || cannot "apt-get could not install ${missing[*]}"
fi

say "building Kubernetes ${VERSION#*really} into $CACHE, once; about 7 minutes on 2 cores"
work=$CACHE/work
rm -rf "$work" "$CACHE/ok" "$CACHE/node"
mkdir -p "$work"/{lists/partial,parts,debs,source,go,node-debs} "$CACHE/bin" "$CACHE/node"
trap 'rm -rf "$work"' EXIT
cd "$work"

# The machine's own mirror, with sources, in lists of our own: apt's stay as they are.
printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" $SUITE >parts/debian.sources
apt=(apt-get -qq -oDir::Etc::sourcelist=/dev/null -oDir::Etc::sourceparts="$work/parts" -oDir::State::Lists="$work/lists"
    -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= -oAPT::Sandbox::User=root)
{ "${apt[@]}" update &&
    (cd source && "${apt[@]}" source --download-only "kubernetes=$VERSION") &&
    (cd debs && "${apt[@]}" download "${BUILD_PACKAGES[@]}") &&
    (cd node-debs && "${apt[@]}" download "${NODE_PACKAGES[@]}"); } >/dev/null ||
    cannot "Debian's packages could not be fetched from $mirror"

for package in debs/*.deb; do dpkg -x "$package" go; done
cp go/usr/bin/etcd "$CACHE/bin/"
for package in node-debs/*.deb; do dpkg -x "$package" "$CACHE/node"; done
# node/usr is laid over /usr, where / has links to /usr/bin and so on.
for folder in bin sbin lib; do
    [ -d "$CACHE/node/$folder" ] || continue
    mkdir -p "$CACHE/node/usr/$folder"
    cp -a "$CACHE/node/$folder/." "$CACHE/node/usr/$folder/"
    rm -rf "${CACHE:?}/node/$folder"
done
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf xtables-nft-multi "$CACHE/node/usr/sbin/$name"
done
rm -rf "$CACHE/node/usr/share/doc" "$CACHE/node/usr/share/man"
dpkg-source --no-check -x source/kubernetes_*.dsc tree >/dev/null 2>&1
say "packages and source unpacked"

# Three repairs. reflect2 1.0.1 crashes with Go 1.18 and later; Debian has 1.0.2. With such a Go, validation takes an empty
# string for null. And the source package lacks the generated OpenAPI file.
reflect2=tree/vendor/github.com/modern-go/reflect2
rm -f $reflect2/*.go $reflect2/*.s
cp go/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} $reflect2/
rm -f $reflect2/*_test.go
sed -i 's/if data == nil || reflect\.DeepEqual(reflect\.Zero(reflect\.TypeOf(data)), reflect\.ValueOf(data)) {/if data == nil {/' \
    tree/vendor/{github.com/go-openapi,k8s.io/kube-openapi/pkg/validation}/validate/type.go
export GOROOT=$work/go/usr/lib/go-1.19 GOPATH=$work/gopath GOCACHE=$work/gocache GOTMPDIR=$work GO111MODULE=off GOFLAGS=
export CGO_ENABLED=0 PATH=$work/go/usr/lib/go-1.19/bin:$PATH
mkdir -p "$GOPATH/src/k8s.io" "$GOPATH/bin"
ln -sfn "$work/tree" "$GOPATH/src/k8s.io/kubernetes"
cd "$GOPATH/src/k8s.io/kubernetes"
go build -o "$GOPATH/bin/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
marked() { grep -rl --include=*.go '+k8s:openapi-gen=' "$@"; }
folders=$({ marked pkg cmd plugin
    cd staging/src && marked k8s.io | grep -vE '^k8s.io/(code-generator|sample-apiserver)/' | sed 's#^#vendor/#'; } |
    xargs -n1 dirname | LC_ALL=C sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
"$GOPATH/bin/openapi-gen" --logtostderr -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/violations"
say "OpenAPI generated"

flags="-s -w"
for package in component-base/version client-go/pkg/version; do
    for prefix in k8s.io k8s.io/kubernetes/vendor/k8s.io; do
        name=$prefix/$package
        flags+=" -X $name.gitVersion=v1.20.2 -X $name.gitMajor=1 -X $name.gitMinor=20 -X $name.gitTreeState=clean"
    done
done
go build -ldflags "$flags" -o "$CACHE/bin/" "${COMMANDS[@]/#/k8s.io/kubernetes/cmd/}"
echo "$stamp" >"$CACHE/ok"
say "built"
