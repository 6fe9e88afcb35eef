#!/bin/sh
# Starts the services of docker-compose.yml, waits until they are healthy, and
# prints what to paste. Arguments go to "docker compose up".
set -eu
cd "$(dirname "$0")"

give_up() {
	echo "start_distro: $1" >&2
	exit 1
}

docker compose version >/dev/null 2>&1 ||
	give_up 'docker compose is missing, or Docker is not running: https://docs.docker.com/engine/install'
docker compose up --detach --build "$@" ||
	give_up 'a service did not start: docker compose logs SERVICE tells why'

left=60
until docker compose exec -T orchestrator python3 /usr/lib/distro/healthy.py >/dev/null 2>&1; do
	left=$((left - 1))
	[ "$left" -gt 0 ] || give_up 'the orchestrator is not ready: docker compose logs orchestrator tells why'
	sleep 2
done

redis=$(docker compose port redis 6379)
api=$(docker compose port orchestrator 7000)
dashboard=$(docker compose port orchestrator 9181)
docker compose exec -T orchestrator sh /usr/lib/distro/paste.sh "$(uname -n)" "$redis" "$api" "$dashboard"
