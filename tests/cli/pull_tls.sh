# sluice pull over https: which certificates are accepted, and what is never sent in clear or to
# somebody else. The hub is that of pull.sh, behind a front that speaks TLS (tests/net/tls_front.c).
. "$(dirname "$0")/common.inc"
need_model
. "$(dirname "$0")/hub.inc"
[ -x "${TLS_FRONT:-}" ] || skip "no server of https: built without libssl"
command -v openssl >/dev/null || skip "no openssl to make certificates with"
unset SSL_CERT_FILE SSL_CERT_DIR https_proxy HTTPS_PROXY
keys=$scratch/keys
mkdir "$keys"

# authority NAME, and certificate NAME AUTHORITY HOSTS DAYS : into $keys.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj "/CN=$1" -keyout "$keys/$1.key" -out "$keys/$1.pem" 2>"$scratch/openssl" ||
        skip "this openssl makes no certificates: $(tail -n 1 "$scratch/openssl")"
}
certificate() {
    echo "subjectAltName=$3" >"$keys/names"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=server" \
        -keyout "$keys/$1.key" -out "$keys/request" 2>"$scratch/openssl" &&
        openssl x509 -req -in "$keys/request" -CA "$keys/$2.pem" -CAkey "$keys/$2.key" \
            -CAcreateserial -days "$4" -extfile "$keys/names" -out "$keys/$1.pem" \
            2>"$scratch/openssl" ||
        skip "this openssl makes no such certificate: $(tail -n 1 "$scratch/openssl")"
}
authority ours
authority theirs
certificate good ours "IP:127.0.0.1,DNS:localhost" 2
certificate expired ours "IP:127.0.0.1,DNS:localhost" -1
certificate other ours "DNS:elsewhere.example" 2

# front NAME CERTIFICATE PORT : $NAME is the port of https in front of PORT; it ends with the hub.
front() {
    "$TLS_FRONT" "$keys/$2.pem" "$keys/$2.key" "$3" "$keys/$1.port" <"$root/in" 9>&- &
    tries=0
    while [ ! -f "$keys/$1.port" ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "the front does not begin"
        sleep 0.05
    done
    eval "$1=$(cat "$keys/$1.port")"
}
front hub good "$port"
front blobs good "$store"
front hub_expired expired "$port"
front hub_other other "$port"
front blobs_expired expired "$store"
good=https://127.0.0.1:$hub
mkdir -p "$root/repos/you/bytes" "$root/repos/you/twin"
head -c 300000 "$model" >"$root/repos/you/bytes/bytes-Q4_0.gguf"
echo text >"$root/repos/you/bytes/README.md"
cp "$root/repos/you/bytes/bytes-Q4_0.gguf" "$root/repos/you/twin"
export HF_TOKEN=secret HF_ENDPOINT="$good"

# as_https RULE... : addresses that the hub gives are those of the fronts.
as_https() {
    rules "hub:/ -1 blob https://127.0.0.1:$blobs" "hub:/ -1 next $good" "$@"
}

# accepted VARIABLE=VALUE... : it is fetched with these, and the token came to the hub alone.
accepted() {
    forget
    as_https "hub:/ -1 gated secret"
    env "$@" "$sluice" pull --no-plan --timeout 1.5 you/bytes >"$out" 2>"$err" || fail "not with $*"
    is_there you/bytes bytes-Q4_0.gguf
    asked 1 "store .*auth=-"
    asked 0 "store .*auth=secret"
    asked 0 "hub .*auth=-"
}

# refused FRAGMENT VARIABLE=VALUE... : ends with status $status and one line that holds FRAGMENT, in
# small or capital letters, and nothing under a final name.
refused() {
    fragment=$1
    shift
    forget
    env "$@" "$sluice" pull --no-plan --timeout 0.3 you/bytes >"$out" 2>"$err"
    got=$?
    [ $got -eq "$status" ] || fail "status $got with $*"
    tail -n 1 "$err" | grep -qiF -e "$fragment" || fail "no '$fragment' in the last line: $*"
    is_absent you/bytes
}

# ---- certificates ----------------------------------------------------------------------------

accepted SSL_CERT_FILE="$keys/ours.pem"
cat "$keys/theirs.pem" "$keys/ours.pem" >"$keys/both.pem"
accepted SSL_CERT_FILE="$keys/both.pem"
status=1
as_https
refused "the certificate of $good is not accepted: "
refused "the certificate of $good is not accepted: " SSL_CERT_FILE=
refused "the certificate of $good is not accepted: " SSL_CERT_FILE="$keys/theirs.pem"
refused "certificate file" SSL_CERT_FILE="$keys/none"
[ "$(wc -l <"$err")" -eq 1 ] || fail "not one line"
export SSL_CERT_FILE="$keys/ours.pem"
refused "expired" HF_ENDPOINT="https://127.0.0.1:$hub_expired"
[ "$(wc -l <"$err")" -eq 1 ] || fail "not one line"
told "the certificate of https://127.0.0.1:$hub_expired is not accepted: "
refused "name" HF_ENDPOINT="https://127.0.0.1:$hub_other"
told "the certificate of https://127.0.0.1:$hub_other is not accepted: "
[ ! -s "$root/log" ] || fail "the hub was asked in spite of its certificate: $(cat "$root/log")"
# The hub's is good, and that of where the files are is not.
rules "hub:/ -1 blob https://127.0.0.1:$blobs_expired"
refused "the certificate of https://127.0.0.1:$blobs_expired is not accepted: "
asked 0 "store"
# Nobody speaks TLS there: it may be that nobody does yet, so a few tries are made.
rules
refused "https://127.0.0.1:$port cannot be reached: " HF_ENDPOINT="https://127.0.0.1:$port"
[ ! -s "$root/log" ] || fail "the hub was asked in clear: $(cat "$root/log")"

# What is broken off goes on, as over http.
forget
as_https "store 1 close 50000" "store 2 reset 100000"
pull 0 you/bytes
is_there you/bytes bytes-Q4_0.gguf
asked 3 "store"

# ---- what goes to others, or in clear ---------------------------------------------------------

status=2
# To http: with the host and port of the hub itself in clear, of the store, of another name.
for clear in "http://127.0.0.1:$port" "http://127.0.0.1:$store" "http://localhost:$port"; do
    rules "resolve -1 to $clear/blob/you/bytes/bytes-Q4_0.gguf"
    refused "redirects to $clear, which is not encrypted"
    asked 1 ".*/resolve/"
    asked 0 ".*/blob/"
done
# The same one redirect later, from the store.
as_https "store -1 to http://127.0.0.1:$store/blob/you/bytes/bytes-Q4_0.gguf"
refused "redirects to http://127.0.0.1:$store, which is not encrypted"
asked 1 "store"
# Lists that go on somewhere else.
rules "tree -1 page 1" "tree -1 next http://127.0.0.1:$port"
refused "the server's list goes on to http://127.0.0.1:$port, which is not encrypted"
asked 1 ".*/tree/"
rules "tree -1 page 1" "tree -1 next file://$root/log"
refused "the server's list goes on to no http(s) address"
# The hub asked for in the first place: a redirect of what it is asked first.
rules "/revision/ -1 to http://127.0.0.1:$port/api/models/you/bytes/revision/main"
refused "redirects to http://127.0.0.1:$port, which is not encrypted"
asked 1 ".*"

# Another name of the same host, with a good certificate: it may answer, and is not told the token.
forget
as_https "/you/bytes/resolve -1 to https://localhost:$hub/you/twin/resolve/main/bytes-Q4_0.gguf"
pull 0 you/bytes
is_there you/bytes bytes-Q4_0.gguf
asked 1 "hub /you/bytes/resolve.*auth=secret"
asked 1 "hub /you/twin/resolve.*auth=-"
asked 0 "store.*auth=secret"
# Another port of the same name, that of the store, was asked above.
exit 0
