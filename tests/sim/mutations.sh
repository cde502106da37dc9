#!/bin/sh
# limit: 1200
# Bugs planted in the core, each to be found within its number of seeds.
exec "$SIM" -M
