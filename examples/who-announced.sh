#!/bin/sh
# Who announced a prefix on a day, and who withdrew it? Every peer, with its AS path; days and times are UTC.
#
#   examples/who-announced.sh 203.0.113.0/24 'last tuesday'
#   examples/who-announced.sh 203.0.113.0/24 2026-11-24
set -eu

day=$(date --utc --date "$2" +%F)
next=$(date --utc --date "$day + 1 day" +%F)
now=$(date --utc +%FT%T.%3NZ)

# A time in the future is an error, so today ends now.
expr "$next" \< "$now" >/dev/null || next=$now
bgpledger history "$1" --start "$day" --end "$next"
