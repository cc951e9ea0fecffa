# Start etcd, API server, controller manager and scheduler; sourced by run.sh.
# Throw-away certificates and tokens, RBAC on. Writes $STATE/admin.kubeconfig.
#   BIN: the folder of the built commands   STATE: a fresh folder   ADDRESS, PORT: where the API server listens
#   ETCD_DATA: a folder in memory, so that syncs cost nothing

daemon() { # NAME COMMAND…: runs until run.sh ends, however it ends
    setsid setpriv --pdeathsig TERM "$HERE/supervise.sh" "$@" &
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds
wait_for() {
    local seconds=$1 what=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "kubernetes: $what within $seconds s did not happen; the last words of its parts:" >&2
            tail -n 8 "$STATE"/log/*.log >&2
            exit 1
        fi
        sleep 0.2
    done
}

cd "$STATE"
mkdir -p pki log pid
export KUBECACHEDIR=$STATE/kubecache
SERVICES=10.96.0.0/16

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${new_key[@]}" -keyout pki/ca.key -out pki/ca.crt -days 3650 -subj /CN=chrion-tests 2>/dev/null
sign() { # NAME SUBJECT EXTENSIONS
    openssl req "${new_key[@]}" -keyout "pki/$1.key" -out "pki/$1.csr" -subj "$2" 2>/dev/null
    openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 3650 \
        -out "pki/$1.crt" -extfile <(printf '%s\n' "$3") 2>/dev/null
}
names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
sign apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:$ADDRESS,IP:10.96.0.1,$names
extendedKeyUsage=serverAuth"
sign kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client extendedKeyUsage=clientAuth
sign front-proxy-client /CN=front-proxy-client extendedKeyUsage=clientAuth
openssl genrsa -out pki/sa.key 2048 2>/dev/null
openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null

user() { # NAME USER GROUP: a token, and a kubeconfig with it
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$1,\"$3\"" >>tokens.csv
    cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: tests, cluster: {server: "https://$ADDRESS:$PORT", certificate-authority: "$STATE/pki/ca.crt"}}]
users: [{name: $1, user: {token: "$token"}}]
contexts: [{name: $1, context: {cluster: tests, user: $1}}]
current-context: $1
YAML
}
user admin admin system:masters
user controller-manager system:kube-controller-manager ""
user scheduler system:kube-scheduler ""
user proxy system:kube-proxy system:node-proxier
user node system:node:node1 system:nodes

daemon etcd "$BIN/etcd" --name tests --data-dir "$ETCD_DATA" --log-level warn \
    --listen-client-urls "http://127.0.0.1:$((PORT + 1))" --advertise-client-urls "http://127.0.0.1:$((PORT + 1))" \
    --listen-peer-urls "http://127.0.0.1:$((PORT + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((PORT + 2))" \
    --initial-cluster "tests=http://127.0.0.1:$((PORT + 2))"

endpoints=()
case $ADDRESS in 127.*) endpoints=(--endpoint-reconciler-type=none) ;; esac # it refuses loopback
daemon kube-apiserver "$BIN/kube-apiserver" "${endpoints[@]}" \
    --etcd-servers="http://127.0.0.1:$((PORT + 1))" --bind-address="$ADDRESS" --secure-port="$PORT" --advertise-address="$ADDRESS" \
    --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
    --token-auth-file=tokens.csv --authorization-mode=Node,RBAC --anonymous-auth=true \
    --service-cluster-ip-range=$SERVICES --allow-privileged=true \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/sa.pub \
    --service-account-signing-key-file=pki/sa.key \
    --kubelet-client-certificate=pki/kubelet-client.crt --kubelet-client-key=pki/kubelet-client.key \
    --kubelet-preferred-address-types=InternalIP \
    --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file=pki/front-proxy-client.crt --proxy-client-key-file=pki/front-proxy-client.key \
    --event-ttl=10m
kubectl=("$BIN/kubectl" --kubeconfig "$STATE/admin.kubeconfig")
wait_for 90 "the API server's being ready" "${kubectl[@]}" get --raw /readyz

daemon kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig=controller-manager.kubeconfig \
    --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt --use-service-account-credentials=true \
    --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key --leader-elect=false \
    --allocate-node-cidrs=false --flex-volume-plugin-dir="$STATE/flex" --secure-port=0 --port=0 \
    --kube-api-qps=200 --kube-api-burst=400
daemon kube-scheduler "$BIN/kube-scheduler" --kubeconfig=scheduler.kubeconfig --leader-elect=false --secure-port=0 --port=0
wait_for 90 "the default service account's appearing" "${kubectl[@]}" get serviceaccount default
