# Sourced by the scripts beside it: where Cassandra's jars are, and a word of its protocol.
# shellcheck shell=bash
. "$here/../common.sh"
locate "$(sed -n '/cassandra-all/{n;s/.*<version>\(.*\)<.*/\1/p}' "$here/pom.xml")"

prepare() { :; }

# The nodes of a cluster differ by address and share the ports: drivers learn addresses, not ports.
ip() { echo "127.0.0.$1"; }
storage_port() { echo $((port + 3)); }
# Always on 127.0.0.1, hence one for each node.
jmx_port() { echo $((port + 6 + $1 - 1)); }

# The word that a node answers a frame with: CQL v4, header of 9 bytes, the fifth is the opcode.
answer() { timeout 10 head -c 9 <&"$1" | od -An -tx1 | awk '{print $5}'; }

# talk IN OUT CONSISTENCY QUERY: STARTUP, the password when asked, then a query. CONSISTENCY is a
# number: 1 is ONE, 5 is ALL. True when the query is answered by a result.
talk() {
  local op q=$4 size
  printf '\x04\0\0\0\x01\0\0\0\x16\0\x01\0\x0bCQL_VERSION\0\x053.0.0' >&"$2"
  op=$(answer "$1")
  if [ "$op" = 03 ]; then # AUTHENTICATE, whose body is the class that asks
    timeout 1 cat <&"$1" >/dev/null || true
    printf '\x04\0\0\x01\x0f\0\0\0\x18\0\0\0\x14\0cassandra\0cassandra' >&"$2"
    op=$(answer "$1")
    [ "$op" = 10 ] || return 1
    timeout 10 head -c 4 <&"$1" >/dev/null
  else
    [ "$op" = 02 ] || return 1
  fi
  size=$(printf %02x $((${#q} + 7)))
  printf "\x04\0\0\x02\x07\0\0\0\x$size\0\0\0\x$(printf %02x ${#q})%s\0\x0$3\0" "$q" >&"$2"
  [ "$(answer "$1")" = 08 ]
}

# asked NODE CONSISTENCY QUERY: does the node answer this?
asked() {
  local tls=$dir/tls
  if [ "$secure" = no ]; then
    { exec 7<>"/dev/tcp/$(ip "$1")/$port"; } 2>/dev/null || return 1
    talk 7 7 "$2" "$3"
  else
    listens "$(ip "$1")" "$port" || return 1
    coproc line { exec openssl s_client -quiet -connect "$(ip "$1"):$port" -CAfile "$tls/ca.pem" \
      -cert "$tls/client.crt" -key "$tls/client.key" 2>/dev/null 8>&-; }
    # A coprocess's own descriptors are closed in the parts of a pipeline.
    exec 5<&"${line[0]}" 6>&"${line[1]}"
    local status=0 pid=$line_PID
    talk 5 6 "$2" "$3" || status=1
    kill "$pid" 2>/dev/null || true
    return $status
  fi
}
