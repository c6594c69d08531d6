# shellcheck shell=bash
# Workers under load, built with a sanitizer: what native-asan and native-tsan share, behind lib.sh.

# storm DIRECTORY SECONDS FLAG...: builds native/test/storm.cc in native/DIRECTORY when something has changed, and runs it.
storm() {
  local build=$1 seconds=$2
  shift 2
  cd "$root/native"
  mkdir -p "$build"
  if [ ! -e "$build/storm" ] || [ -n "$(find . -path './build*' -prune -o -name '*.[ch]*' -newer "$build/storm" -print -quit)" ]; then
    say "builds native/$build/storm"
    # Without the addon: what the workers run knows nothing of Node.
    g++ -std=c++20 -Wall -Wextra "$@" -o "$build/storm" \
      test/storm.cc closer.cc dataplane.cc executor.cc idle_cpus.cc scheduling.cc worker.cc io/*.cc nat/*.cc pipeline/*.cc tables/*.cc wire/*.cc
  fi
  local status=0
  # Without address space randomisation: gcc 12's ThreadSanitizer knows no kernel that uses 32 bits of it.
  setarch "$(uname -m)" -R "$build/storm" "$seconds" || status=$?
  [ $status -ne 77 ] || say 'the storm was skipped: no network namespace can be made here; run it as root'
  [ $status -eq 0 ] || [ $status -eq 77 ]
}
