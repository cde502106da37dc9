#!/bin/sh
# limit: 300
# First the seeds that once found a fault, then SEEDS.
# shellcheck disable=SC2046,SC2086
exec "$SIM" $(cat tests/sim/seeds.txt) ${SEEDS:-1-40}
