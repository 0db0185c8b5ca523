#!/usr/bin/env bash
# A Chromium and its driver from Debian, for the test of the report, where they are not there yet and
# this is root. Not being able to have them is no fault of the report: the test then skips and says so.
set -euo pipefail

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "report: no chromium, and only root on Debian can install one; its test will be skipped" >&2
    exit 0
fi
echo "report: installing Debian's chromium" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
packages=(chromium chromium-driver)
apt-get install --yes --quiet --no-install-recommends "${packages[@]}" >"$log" 2>&1 ||
    { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "${packages[@]}"; } >>"$log" 2>&1 ||
    { tail -n 3 "$log" >&2; echo "report: it cannot be installed; the test will be skipped" >&2; }
rm -f "$log"
