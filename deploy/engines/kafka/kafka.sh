# Sourced by the scripts beside it: where Kafka's jars are, how its JVM is started.
# shellcheck shell=bash
. "$here/../common.sh"
locate "$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")"
# Serial collector, first compiler only, and (below) an archive of loaded classes: a broker is up in
# 2 s instead of 6, with 165 MB instead of 205.
jvm=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError)

# prepare NEW_HOME: Kafka's own tool formats a directory; its result serves all, as only ids differ.
prepare() {
  local new=$1
  mkdir "$new/format"
  cat >"$new/format/properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:2
log.dirs=$new/format/data
END
  "$java" "${jvm[@]}" "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$new/libs/*" \
    kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$new/format/properties" \
    --add-scram 'SCRAM-SHA-512=[name=harkara,password=harkara-test]' >"$new/format/log" 2>&1 9>&- ||
    { cat "$new/format/log" >&2; die "the format tool failed; its words are above"; }
  mv "$new/format/data/bootstrap.checkpoint" "$new/"
  rm -rf "$new/format"
}

# An archive fits the one JVM that made it.
archive() { printf '%s/classes-%s.jsa' "$home" "$(stat -Lc '%n %s %Y' "$(readlink -f "$java")" | sha256sum | cut -c1-12)"; }
shared_archive() { if [ -f "$(archive)" ]; then printf -- '-XX:SharedArchiveFile=%s' "$(archive)"; else printf -- -Xshare:auto; fi; }

# Once for each JVM: a broker is started and stopped, which writes the archive.
make_archive() {
  local to scratch
  to=$(archive)
  [ ! -f "$to" ] && [ -z "${HARKARA_ENGINES_NO_ARCHIVE:-}" ] || return 0
  exec 9>"$cache/.lock"
  flock 9
  if [ ! -f "$to" ]; then
    say "archiving classes for quicker starts (once)"
    scratch=$(mktemp -d)
    HARKARA_ENGINES_NO_ARCHIVE=1 JDK_JAVA_OPTIONS="-XX:ArchiveClassesAtExit=$to.new" \
      "$here/up" --dir "$scratch/kafka" --port 0 --owner $$ >/dev/null 9>&-
    "$here/down" --dir "$scratch/kafka" 9>&-
    rm -rf "$scratch"
    # Without it everything works, more slowly.
    if [ -s "$to.new" ]; then mv "$to.new" "$to"; else say "no archive came of it"; : >"$to"; fi
  fi
  exec 9>&-
}

# brokers_seen PORT: how many live brokers the one at PORT lists (Metadata v1 without topics).
brokers_seen() {
  local n
  n=$(timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$1"' &&
    printf "\0\0\0\16\0\3\0\1\0\0\0\7\377\377\0\0\0\0" >&3 && head -c 12 <&3' 2>/dev/null |
    od -An -tu1 -j8 -N4 2>/dev/null | awk '{print $1*16777216+$2*65536+$3*256+$4}') || true
  printf '%s' "${n:-0}"
}
