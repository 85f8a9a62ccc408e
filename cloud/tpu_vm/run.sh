#!/usr/bin/env bash
# Trains on the hosts of a TPU slice, on spot machines; when they are taken away, asks for others and goes on:
#     PROJECT=p ZONE=us-west4-a IMAGE=us-central1-docker.pkg.dev/p/r/sero-spikes:TAG-tpu \
#         cloud/tpu_vm/run.sh --config=trainer/configs/default.py --config.precision=mixed_bfloat16 \
#         --data_dir=gs://BUCKET/data --workdir=gs://BUCKET/runs/one
# The arguments are sero-train's; --backend=jax and --cache_dir are added. It needs gcloud with the right to make TPUs, and
# stays until the run has ended. Then the slice is deleted, as it costs money; also after wrong arguments, and when the run
# has failed again and again. Give the same command again to go on with a run. Tried against stand-ins for gcloud and
# Docker, not on Cloud TPU; costs: docs/cloud.md.
set -euo pipefail

: "${PROJECT:?is needed: the id of a Google Cloud project}"
: "${ZONE:?is needed: a zone that has such TPUs, such as us-west4-a}"
: "${IMAGE:?is needed: the image of the target tpu of cloud/Dockerfile}"
NAME=${NAME:-sero-train}
ACCELERATOR_TYPE=${ACCELERATOR_TYPE:-v5litepod-16}
RUNTIME_VERSION=${RUNTIME_VERSION:-v2-alpha-tpuv5-lite}
SECONDS_BETWEEN_LOOKS=${SECONDS_BETWEEN_LOOKS:-60}
LOOKS=5
ATTEMPTS=4
WRONG_ARGUMENTS=2
# On each host. What could not be uploaded is there, and the next attempt uploads it.
CACHE=/var/lib/sero-train
SERVICE_ACCOUNT=${SERVICE_ACCOUNT:-}

if [ $# -eq 0 ]; then
    echo "${0##*/}: give the arguments of sero-train, such as --config=trainer/configs/default.py" >&2
    exit 2
fi

place=(--project="$PROJECT" --zone="$ZONE")
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

say() {
    echo "$(date +%H:%M:%S) $NAME: $*" >&2
}

# Sets STATE to that of the request for the slice, or to NONE if there is none. Google may be out of reach for a while.
look() {
    local again
    for ((again = 0; again < LOOKS; again++)); do
        if STATE=$(gcloud compute tpus queued-resources describe "$NAME" "${place[@]}" \
            --format='value(state.state)' 2>"$errors"); then
            return
        fi
        if grep --quiet NOT_FOUND "$errors"; then
            STATE=NONE
            return
        fi
        say "$(<"$errors")"
        sleep "$SECONDS_BETWEEN_LOOKS"
    done
    exit 1
}

ask_for_slice() {
    say "asking for $ACCELERATOR_TYPE"
    gcloud compute tpus queued-resources create "$NAME" "${place[@]}" --node-id="$NAME" --spot \
        --accelerator-type="$ACCELERATOR_TYPE" --runtime-version="$RUNTIME_VERSION" \
        ${SERVICE_ACCOUNT:+--service-account="$SERVICE_ACCOUNT"} >&2
}

delete_slice() {
    gcloud compute tpus queued-resources delete "$NAME" "${place[@]}" --force --quiet >&2
}

# Each host runs the same command; jax.distributed finds the others by what the slice says of itself. A container of an
# attempt before may still be there: its name keeps two from using the chips at once.
train() {
    local arguments registry=${IMAGE%%/*}
    printf -v arguments '%q ' "$@" --backend=jax --cache_dir="$CACHE"
    gcloud compute tpus tpu-vm ssh "$NAME" "${place[@]}" --worker=all --command="
        sudo docker rm --force sero-train >/dev/null 2>&1
        gcloud auth print-access-token | sudo docker login --username oauth2accesstoken --password-stdin https://$registry &&
        exec sudo docker run --rm --name sero-train --privileged --network=host --entrypoint= --user=0 \
            --volume=$CACHE:$CACHE $(printf '%q' "$IMAGE") sero-train $arguments"
}

# After training has failed: whether the slice was taken away. The state follows the loss with a delay.
is_lost() {
    local again
    for ((again = 0; again < LOOKS; again++)); do
        look
        [ "$STATE" = ACTIVE ] || return 0
        sleep "$SECONDS_BETWEEN_LOOKS"
    done
    return 1
}

stopped() {
    say "stopped; the slice stays until: gcloud compute tpus queued-resources delete $NAME ${place[*]} --force"
    exit 130
}
trap stopped INT TERM

failures=0
while true; do
    look
    case "$STATE" in
    NONE)
        failures=0
        ask_for_slice
        ;;
    ACTIVE)
        say 'training'
        status=0
        train "$@" || status=$?
        if [ "$status" -eq 0 ]; then
            say 'the run has ended'
            delete_slice
            exit 0
        fi
        if is_lost; then
            say 'the slice is gone; the run goes on from its last checkpoint'
            continue
        fi
        say "sero-train has failed with status $status, and the slice is still there: see above"
        failures=$((failures + 1))
        if [ "$status" -eq "$WRONG_ARGUMENTS" ] || [ "$failures" -eq "$ATTEMPTS" ]; then
            delete_slice
            exit "$status"
        fi
        say "attempt $((failures + 1)) of $ATTEMPTS"
        ;;
    SUSPENDED)
        delete_slice
        ;;
    FAILED)
        say 'the request for the slice has failed, see the console of Google Cloud: is there a quota in this zone?'
        delete_slice
        exit 1
        ;;
    *)
        sleep "$SECONDS_BETWEEN_LOOKS"
        ;;
    esac
done
