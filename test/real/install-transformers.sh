#!/usr/bin/env bash
# Gets a real `transformers serve` for the suites under test/real: a Python environment at
# ${KVGATE_CACHE:-~/.cache/kvgate}/python-servers; its interpreter is the last line on stdout.
#
# Half a minute and 4 GB the first time, at once afterwards. A half-made environment is made again,
# and so is one whose list of packages has changed.
set -euo pipefail

readonly HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly REQUIREMENTS="$HERE/requirements-transformers.txt"
readonly CACHE="${KVGATE_CACHE:-$HOME/.cache/kvgate}"
readonly VENV="$CACHE/python-servers"
readonly INSTALLED="$VENV/transformers.installed"

say() { printf '%s\n' "$*" >&2; }
fail() { say "install-transformers: $*"; exit 1; }

# The pinned packages have wheels for these; a name may be a version manager's shim that runs nothing.
python_command() {
  local name
  for name in python3.11 python3.12 python3.13 python3; do
    if "$name" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
    then
      printf '%s\n' "$name"
      return
    fi
  done
  fail 'needs Python 3.11 to 3.13 with venv; or set TRANSFORMERS_PYTHON'
}

if [ -n "${TRANSFORMERS_PYTHON:-}" ]; then
  printf '%s\n' "$TRANSFORMERS_PYTHON"
  exit 0
fi

mkdir -p "$CACHE"
exec 9>"$CACHE/python-servers.lock"
flock 9

if ! cmp -s "$REQUIREMENTS" "$INSTALLED"; then
  python="$(python_command)"
  say "installing transformers and torch into $VENV"
  rm -rf "$VENV"
  "$python" -m venv "$VENV"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
    --no-deps --requirement "$REQUIREMENTS" >&2
  # Compiles what the server imports, and only that, where the environment forbids it by default.
  env --unset=PYTHONDONTWRITEBYTECODE "$VENV/bin/python" - >&2 <<'PYTHON' || fail 'it does not load'
import transformers.cli.serve, transformers.models.gpt_oss.modeling_gpt_oss, uvicorn
print("transformers", transformers.__version__)
PYTHON
  cp "$REQUIREMENTS" "$INSTALLED"
fi
printf '%s\n' "$VENV/bin/python"
