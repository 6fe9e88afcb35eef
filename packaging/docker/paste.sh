#!/bin/sh
# Prints what people need to use the services, ready to paste. It runs in the
# container of the orchestrator, which has the secrets; what it prints goes to the
# terminal and into no log.
#
#   paste.sh HOST REDIS API DASHBOARD
#
# HOST is the name of the machine; the rest are the addresses where its ports are
# published, as "docker compose port" prints them. Without accents: terminals of
# Windows have their own idea of them.
set -eu

host=${1:?usage: paste.sh HOST REDIS API DASHBOARD}

# reached ADDRESS is where others reach it: all addresses of a machine are its name.
reached() {
	case $1 in
	0.0.0.0:* | '[::]:'*) printf '%s:%s' "$host" "${1##*:}" ;;
	*) printf '%s' "$1" ;;
	esac
}

redis=$(reached "${2:?}")
api=$(reached "${3:?}")
dashboard=$(reached "${4:?}")
token=$(cat "$DISTRO_AUTH_TOKEN_FILE")
url=$(cat "$DISTRO_REDIS_URL_FILE")
url="${url%@*}@$redis/${url##*/}"

cat <<END

Distro pronto / Distro is ready

  Painel / Dashboard   http://$dashboard
  API                  http://$api
  Token                $token

Worker, na pasta dos scripts / in the folder of your scripts:

  rq worker --with-scheduler --url $url low default
  distro worker --with-scheduler --url $url low default

Chamada / Request:

  curl -H "Authorization: Bearer $token" http://$api/scheduler/modules

END
case $redis in
127.* | localhost:* | '[::1]:'*)
	cat <<END
Workers em outro servidor / on another host: DISTRO_BIND, docs/install.md
END
	;;
esac
