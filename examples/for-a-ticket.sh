#!/bin/sh
# What happened to a prefix between two times, as text to paste into a ticket: the routes before and after, what each
# peer said in between, and what the archive may have missed.
#
#   examples/for-a-ticket.sh 203.0.113.0/24 '2026-11-24 14:00' '2026-11-24 14:10' >ticket.txt
set -eu

say() {
    printf '\n%s\n\n' "$1"
    shift
    "$@" 2>&1 # a remark of the archive's, such as a gap, belongs into the ticket too
}

echo "$1 from $2 to $3 (UTC)"
say "Before:" bgpledger rib "$1" --more-specific --at "$2"
say "What the peers said:" bgpledger history "$1" --start "$2" --end "$3"
say "After:" bgpledger rib "$1" --more-specific --at "$3"
say "Difference:" bgpledger diff "$2" "$3" "$1"
