#!/usr/bin/env bash
# Gets a real llama-server for the suites under test/real; its command is the last line on stdout.
#
# Debian ships it from testing on (package llama.cpp-tools). Its libraries are newer than those of
# Debian 12, so there it is installed into a root of its own, under ${KVGATE_CACHE:-~/.cache/kvgate},
# with a wrapper that runs it by chroot: no mounts, nothing installed into the host but debootstrap.
# About 80 seconds the first time, at once afterwards. A half-made root is made again.
set -euo pipefail

readonly SUITE=forky
readonly CACHE="${KVGATE_CACHE:-$HOME/.cache/kvgate}"
readonly ROOT="$CACHE/llama-root"
readonly WRAPPER="$CACHE/llama-server"

say() { printf '%s\n' "$*" >&2; }
fail() { say "install-llama-server: $*"; exit 1; }

# The mirror that this machine already installs from, so that proxies and local mirrors keep working.
mirror() {
  local codename uris
  codename="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
  uris="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Release: $codename")"
  [ -n "$uris" ] || fail "apt has no source for '$codename' to take a mirror from"
  printf '%s\n' "${uris%%$'\n'*}"
}

# The server sees only its root, so the wrapper brings the files it reads to the same paths inside it:
# callers, and readers of model_path in /props, need not know about the root.
write_wrapper() {
  cat >"$WRAPPER.new" <<WRAPPER_END
#!/usr/bin/env bash
set -euo pipefail
root=$(printf '%q' "$ROOT")
WRAPPER_END
  cat >>"$WRAPPER.new" <<'WRAPPER_END'
previous=''
for argument in "$@"; do
  case "$previous" in
    -m | --model)
      case "$argument" in /*) ;; *) echo "give the model's absolute path" >&2; exit 2 ;; esac
      mkdir -p "$root$(dirname "$argument")"
      cp "$argument" "$root$argument.$$"
      mv "$root$argument.$$" "$root$argument"
      ;;
    --slot-save-path) mkdir -p "$root$argument" ;;
    --models-dir)
      mkdir -p "$root$argument"
      cp "$argument"/*.gguf "$root$argument/"
      ;;
    # A pipe stays the same pipe: both paths are names of it.
    --lookup-cache-static)
      mkdir -p "$root$(dirname "$argument")"
      ln -f "$argument" "$root$argument"
      ;;
  esac
  previous="$argument"
done
exec chroot "$root" /usr/bin/llama-server "$@"
WRAPPER_END
  chmod +x "$WRAPPER.new"
  mv "$WRAPPER.new" "$WRAPPER"
}

if [ -n "${LLAMA_SERVER:-}" ]; then
  printf '%s\n' "$LLAMA_SERVER"
  exit 0
fi
if command -v llama-server; then
  exit 0
fi

[ "$(id -u)" = 0 ] || fail 'needs root (debootstrap and chroot); or set LLAMA_SERVER'
mkdir -p "$CACHE"
exec 9>"$CACHE/install.lock"
flock 9

if [ ! -x "$ROOT/usr/bin/llama-server" ]; then
  command -v debootstrap >/dev/null || {
    say 'installing debootstrap'
    apt-get update >&2
    apt-get install --yes --no-install-recommends debootstrap >&2
  }
  from="$(mirror)"
  say "installing llama.cpp-tools of Debian $SUITE from $from into $ROOT"
  rm -rf "$ROOT" "$ROOT.partial"
  # The script of `sid` serves every later release, also those that an older debootstrap has no name for.
  debootstrap --variant=minbase --include=llama.cpp-tools "$SUITE" "$ROOT.partial" "$from" sid >&2
  rm -rf "$ROOT.partial/var/cache/apt/archives"
  mv "$ROOT.partial" "$ROOT"
fi
write_wrapper
"$WRAPPER" --version >&2 || fail "the installed llama-server does not start"
printf '%s\n' "$WRAPPER"
