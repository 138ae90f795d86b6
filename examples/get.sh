#!/bin/sh
# Prints a session's token without any client of ours: sh get.sh SESSION [TEMPLATE]
# The second word of "OK JWT id=..." is the token; an error goes to standard error, with status 1.
printf 'GET %s %s\n' "${1:?a session is missing}" "${2:--}" |
	nc -N -U "${CLERK_TOKEND_SOCKET:-/run/clerk-tokend/clerk-tokend.sock}" |
	awk '$1 == "OK" { print $2; ok = 1 } $1 != "OK" { print > "/dev/stderr" } END { exit !ok }'
