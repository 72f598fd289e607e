#!/bin/sh
# The two-minute look at mlxk, offline: what is here, is it whole, and let it answer.
set -eu

say() { printf '\n$ %s\n' "$*"; }

say mlxk list
mlxk list
say mlxk health demo
mlxk health demo
say 'mlxk run demo "What does mlxk clone do?"'
mlxk run demo "What does mlxk clone do?"
