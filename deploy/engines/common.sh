# Sourced by the scripts in the folders beside it: what Kafka and Cassandra have in common.
# shellcheck shell=bash
#
# A started engine is a directory: DIR/settings (how it was started), DIR/address (where it listens),
# DIR/tls (certificates), DIR/nodeI (data, logs, pid of node I).

set -euo pipefail
engines=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${HARKARA_ENGINES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/harkara/engines}
# Seconds that a start may take; a busy machine needs ten times as long as a quiet one.
patience=${HARKARA_ENGINES_WAIT:-180}
# By its full name: bare `dependency:` means whatever version Maven came with.
copy_jars=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies

say() { printf '%s: %s\n' "$engine" "$*" >&2; }
die() { say "$*"; exit 1; }

# ---- arguments of up and down ----

# What `up` was asked for; a directory that has settings already keeps those.
# shellcheck disable=SC2034  # each engine uses some of these
defaults() { dir='' port=$1 nodes=1 heap=256m secure=no sync=periodic sets=() owner='' wipe=no only='' advertise=''; }

arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --check) impossible; exit 0 ;;
      --secure) secure=password; shift; continue ;;
      --mutual) secure=mutual; shift; continue ;;
      --wipe) wipe=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || die "$1 is unknown or lacks its value; the first lines of $0 list the arguments"
    case $1 in
      --dir) dir=$2 ;; --port) port=$2 ;; --nodes) nodes=$2 ;; --heap) heap=$2 ;;
      --sync) sync=$2 ;; --set) sets+=("$2") ;; --owner) owner=$2 ;; --node) only=$2 ;;
      --advertise) advertise=$2 ;;
      *) die "unknown argument $1; the first lines of $0 list them" ;;
    esac
    shift 2
  done
  [ -n "$dir" ] || die "--dir DIR is needed: where its data, logs and certificates go"
  case $nodes in 1 | 3) ;; *) die "--nodes is 1 or 3, not $nodes" ;; esac
  case $only in '' | 1 | 2 | 3) ;; *) die "--node is 1, 2 or 3, not $only" ;; esac
  case $port in '' | *[!0-9]*) die "--port is a number, 0 for any free one, not $port" ;; esac
  mkdir -p "$dir"
  dir=$(cd -- "$dir" && pwd)
}

# One `up` or `down` at a time works on a directory; file descriptor 8 is the lock.
lock_dir() { exec 8>"$dir/.lock"; flock 8; }

# The nodes to start: all, or the one that was named. Who starts one waits for no other one, and lets
# others be started meanwhile: two of three may need each other.
chosen() { if [ -n "$only" ]; then echo "$only"; else seq "$nodes"; fi; }
unlock_dir() { if [ -n "$only" ]; then exec 8>&-; fi; }

keep_settings() {
  declare -p port nodes heap secure sync sets >"$dir/settings.new"
  mv "$dir/settings.new" "$dir/settings"
}

# ---- Java and jars ----

# Java 17 exactly: Cassandra 5.0 does not start on newer ones.
find_java() {
  local candidate
  for candidate in "${JAVA_HOME:-/none}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    if [ -x "$candidate" ] && "$candidate" -version 2>&1 | grep -q 'version "17[".]'; then
      printf '%s' "$candidate"
      return
    fi
  done
  return 1
}

# Ends with the reason, when this machine can't run the engine.
impossible() {
  local tool
  for tool in flock setsid openssl; do
    command -v "$tool" >/dev/null || die "no $tool here: apt-get install util-linux openssl"
  done
  find_java >/dev/null || die "no Java 17 here: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
  [ -f "$home/complete" ] || command -v mvn >/dev/null || die "no mvn here: apt-get install maven"
}

# Sets java, home and libs. One folder for each content of pom.xml: changed versions never mix.
locate() { # VERSION
  home=$cache/$engine-$1-$(sha256sum <"$here/pom.xml" | cut -c1-12)
  libs=$home/libs
}

# Brings the jars, once; then calls `prepare NEW_HOME` of the engine. A download that was cut off is
# never used, and two that want the same wait for each other.
fetch() {
  impossible
  java=$(find_java)
  [ ! -f "$home/complete" ] || return 0
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  if [ ! -f "$home/complete" ]; then
    local new attempt
    new=$(mktemp -d "$cache/.new.XXXXXX")
    say "fetching jars into $home (once, about a minute)"
    for attempt in 1 2 3; do
      mvn -B -q -Dstyle.color=never -f "$here/pom.xml" "$copy_jars" \
        -DincludeScope=runtime -DoutputDirectory="$new/libs" >&2 9>&- && break
      [ "$attempt" -lt 3 ] || { rm -rf "$new"; die "mvn could not fetch the jars (its words are above)"; }
      sleep $((attempt * 3))
    done
    prepare "$new"
    touch "$new/complete"
    chmod 755 "$new"
    rm -rf "$home"
    mv "$new" "$home"
  fi
  exec 9>&-
}

# ---- ports ----

listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; } # ADDRESS PORT

# free FIRST: is nothing listening on the twelve ports from FIRST on?
free() {
  local p ip
  for p in $(seq "$1" $(($1 + 11))); do
    for ip in 127.0.0.1 127.0.0.2 127.0.0.3; do
      if listens "$ip" "$p"; then return 1; fi
    done
  done
}

# Sets port to the first of twelve that belong to this directory for as long as it exists: below
# are the ports that programs choose by habit, above those that the kernel gives to connections.
take_ports() {
  local pool first other
  pool=/tmp/harkara-engines-$(id -u)
  (umask 077 && mkdir -p "$pool")
  [ -O "$pool" ] || die "$pool belongs to somebody else"
  exec 7>"$pool/lock"
  flock 7
  for _ in $(seq 600); do
    first=$((12000 + RANDOM % 650 * 12))
    other=$(cat "$pool/$first" 2>/dev/null || true)
    if { [ -z "$other" ] || [ ! -d "$other" ] || [ "$other" = "$dir" ]; } && free "$first"; then
      printf '%s' "$dir" >"$pool/$first"
      port=$first
      exec 7>&-
      return
    fi
  done
  die "no twelve free ports; directories that are in use are named in $pool"
}

# Before the very first start: ports that are free.
settle_ports() {
  if [ "$port" = 0 ]; then take_ports; fi
  free "$port" || die "something listens on a port from $port to $((port + 11)); --port 0 takes free ones"
}

# ---- processes ----

# alive NODE_DIR: prints the pid, if it is that of a process started for this very directory.
alive() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "-Dharkara.node=$1" || return 1
  printf '%s' "$pid"
}

# gone PID: has it given back its ports? A killed process loses its command line first, and its
# last thread closes what is open.
gone() {
  local stat threads
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  threads=(/proc/"$1"/task/*)
  case ${stat##*) } in Z* | X*) [ ${#threads[@]} -le 1 ] ;; *) return 1 ;; esac
}

# launch NODE_DIR COMMAND...: in a session of its own, so that Ctrl-C of a terminal passes it by; it
# ends with its owner.
launch() {
  local node=$1 gone=''
  shift
  [ "$wipe" = no ] || gone=$dir
  setsid "$engines/guarded" "$owner" "$gone" "$@" </dev/null >>"$node/out.log" 2>&1 8>&- &
  echo $! >"$node/pid"
  # Until it has become the command it would be taken for dead.
  until alive "$node" >/dev/null || gone $!; do sleep 0.02; done
}

# await NODE: until `ready NODE` of the engine is true.
await() {
  local node=$dir/node$1 end=$((SECONDS + patience))
  until ready "$1"; do
    alive "$node" >/dev/null || { tail -n 20 "$node"/*.log >&2; die "node $1 ended while it started; its log is above"; }
    [ $SECONDS -lt $end ] || { tail -n 20 "$node"/*.log >&2; die "node $1 did not answer within $patience s; its log is above"; }
    sleep 0.1
  done
}

# down --dir DIR [--node I[,J]] [--signal TERM|KILL|STOP|CONT] [--wipe]
down() {
  local dir='' node=1,2,3 signal=TERM wipe=no i pid pids=()
  while [ $# -gt 0 ]; do
    case $1 in
      --wipe) wipe=yes; shift ;;
      --dir) dir=$2; shift 2 ;; --node) node=$2; shift 2 ;; --signal) signal=$2; shift 2 ;;
      *) die "unknown argument $1; the first lines of $0 list them" ;;
    esac
  done
  [ -n "$dir" ] || die "--dir DIR is needed: what was given to up"
  [ -f "$dir/settings" ] || return 0
  dir=$(cd -- "$dir" && pwd)
  for i in ${node//,/ }; do
    if pid=$(alive "$dir/node$i"); then kill -"$signal" "$pid" || true; pids+=("$pid"); fi
  done
  case $signal in STOP | CONT) return ;; esac
  # One that is stopped gets its signal only when it goes on.
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    # The last ones of three brokers have nobody to hand over to and would wait for long.
    for _ in $(seq 150); do if gone "$pid"; then break; fi; sleep 0.1; done
    if ! gone "$pid"; then kill -KILL "$pid" 2>/dev/null || true; fi
    until gone "$pid"; do sleep 0.05; done
  done
  if [ "$wipe" = yes ] && [ "$node" = 1,2,3 ]; then rm -rf "$dir"; fi
}
