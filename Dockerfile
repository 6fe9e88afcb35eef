# Distro in a container: the binary and Python 3, as a user without rights.
#
#   docker build -t distro .
#   docker compose up            the whole: see docker-compose.yml

# ---- what the scripts of the dashboard are bundled from
FROM node:22-bookworm-slim AS scripts
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

# ---- the binary
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY web/bundle/go.mod web/bundle/go.sum web/bundle/
RUN go mod download && go mod download -C web/bundle
COPY . .
# Files that .dockerignore holds back are no changes to the commit in the version.
RUN git ls-files --deleted >/tmp/absent && git update-index --skip-worktree --stdin </tmp/absent || echo 'no commit in the version'
COPY --from=scripts /src/web/node_modules web/node_modules
RUN go run -C web/bundle . ..
# The scripts are there: nobody asks for npm.
RUN make -o assets build

# ---- what is shipped
FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Distro" \
      org.opencontainers.image.description="Orchestrates Python automations" \
      org.opencontainers.image.licenses="MIT"
# Folders of the user: a volume on one of them gets its owner.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin distro \
 && install --directory --owner=distro --group=distro --mode=0700 /var/lib/distro /home/distro/.cache \
 && install --directory /automations /etc/distro
COPY --from=build /src/bin/distro /usr/bin/distro
COPY packaging/docker/ /usr/lib/distro/
ENV DISTRO_DATA_DIR=/var/lib/distro \
    DISTRO_MODULES_PATH=/automations \
    DISTRO_LISTEN=0.0.0.0:7000 \
    DISTRO_DASHBOARD_LISTEN=0.0.0.0:9181
USER 10001:10001
WORKDIR /automations
EXPOSE 7000 9181
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/usr/lib/distro/healthy.py"]
ENTRYPOINT ["distro"]
CMD ["up"]
