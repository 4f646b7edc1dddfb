#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What go-zookeeper's tests start: `zkServer.sh start-foreground zoo.cfg`, ended by SIGKILL.
[ "$1" = start-foreground ] || { echo "zkServer.sh: only start-foreground" >&2; exit 2; }
# shellcheck disable=SC2086
exec $SUT "$2"
