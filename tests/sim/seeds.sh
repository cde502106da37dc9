#!/bin/sh
# limit: 600
# First the seeds that once found a fault, at full size and otherwise, then SEEDS.
# shellcheck disable=SC2046,SC2086
"$SIM" -f $(cat tests/sim/seeds-full.txt) || exit 1
# shellcheck disable=SC2046,SC2086
exec "$SIM" $(cat tests/sim/seeds.txt) ${SEEDS:-1-40}
