#!/bin/sh
# Makes the token and the passwords of docker-compose.yml, once: what is there
# stays. Below the folder it is given each service has one of its own, with what
# it needs and nothing else.
#
# The folders are volumes that one service each can see, so that the modes of the
# files leave the choice of its user to the image of the service.
set -eu

keys=${1:?usage: setup.sh FOLDER}
mkdir -p "$keys/redis" "$keys/postgres" "$keys/orchestrator" "$keys/worker"

# put FILE takes its text from stdin and is all or nothing.
put() {
	rm -f "$1.new"
	cat >"$1.new"
	chmod 0444 "$1.new"
	mv "$1.new" "$1"
}

# secret FILE prints the one in the file, which is made if it is not there.
secret() {
	if [ ! -s "$1" ]; then
		od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' | put "$1"
	fi
	text=$(cat "$1")
	case $text in
	'' | *[!A-Za-z0-9_-]*)
		echo "setup: $1 holds something else than letters, digits, - and _" >&2
		return 1
		;;
	esac
	printf '%s' "$text"
}

redis=$(secret "$keys/redis/password")
postgres=$(secret "$keys/postgres/password")
token=$(secret "$keys/orchestrator/auth_token")
if [ "${#token}" -lt 16 ]; then
	echo "setup: $keys/orchestrator/auth_token has less than 16 characters" >&2
	exit 1
fi

put "$keys/redis/redis.conf" <<END
requirepass $redis
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
END
put "$keys/orchestrator/redis_url" <<END
redis://:$redis@redis:6379/1
END
put "$keys/worker/redis_url" <"$keys/orchestrator/redis_url"
put "$keys/orchestrator/postgre_url" <<END
postgres://distro:$postgres@postgres:5432/distro
END
sync
echo 'setup: token and passwords are there'
