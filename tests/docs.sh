#!/bin/sh
# The documentation that comes from tables is what the tables say.
exec deploy/docs.sh --check "$UW" docs
