#!/bin/sh
# Gate a model in CI: examples/gate.sh CHECKPOINT IMAGES BASELINE OUTPUT
#
#   CHECKPOINT  a checkpoint, or the name of a card that comes with weights
#   IMAGES      a folder of images with its annotations.json (or labels/)
#   BASELINE    a folder with check.json and int8.json of the released model; it is filled if it is empty
#   OUTPUT      a folder that must not exist yet
#
# Exit codes are those of hrnet-deploy: 0 every check passed, 1 a check failed, 2 a file or option cannot be used,
# 3 a library, a device or memory is not available on this machine.
set -eu

checkpoint=$1 images=$2 baseline=$3 output=$4
mkdir "$output"

# The page is made from the results that exist, also if a check failed.
page() {
  status=$?
  set -- "$output"/*.json
  if [ -s "$1" ]; then hrnet-deploy report "$@" -o "$output/page.html" || true; fi
  exit $status
}
trap page EXIT

hrnet-deploy export "$checkpoint" -o "$output/model.onnx"
hrnet-deploy check "$output/model.onnx" --against "$checkpoint" --images "$images" \
  --junit "$output/parity.xml" -o "$output/check.json"
hrnet-deploy quantize "$output/model.onnx" -o "$output/int8.onnx" --images "$images" \
  --max-drop "${MAX_DROP:-0.5}" --json > "$output/int8.json"

mkdir -p "$baseline"
for name in check int8; do
  if [ -e "$baseline/$name.json" ]; then
    hrnet-deploy compare "$baseline/$name.json" "$output/$name.json" --fail-on "${FAIL_ON:-relative=0.01}"
  else
    cp "$output/$name.json" "$baseline/$name.json"
    echo "$baseline/$name.json is new: commit it"
  fi
done
