# Distro. "make help" lists what can be done.

GO        ?= go
PYTHON    ?= python3
NPM       ?= npm
CONFIG    ?= config.cfg
FUZZTIME  ?= 60s
TESTFLAGS ?=
SUDO      := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

# The commit is stamped into the binary where git can tell it.
VCS   := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(VCS) -ldflags '-s -w'

# Tests of these packages run with the race detector.
RACED := internal/broker/... internal/httpapi/... internal/metrics/... internal/output/... internal/pgtest/... internal/proctest/... \
         internal/python/... internal/recorder/... internal/redistest/... internal/scheduler/... internal/service/... internal/shipping/... \
         internal/sqldb/... internal/store/... internal/webhook/... internal/worker/...

# Systems the binary is built for beside this one.
SYSTEMS := windows/amd64 darwin/arm64

LINT         := bin/golangci-lint
LINT_VERSION := v2.15.0

.DEFAULT_GOAL := help
.PHONY: help build run test check bench fuzz screenshots soak generate release release-snapshot clean \
        tools-python tools-test assets types vet format unit race cross e2e lint in-sync

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

build: assets ## build bin/distro
	@mkdir -p bin
	$(BUILD) -o bin/distro ./cmd/distro

run: tools-python build ## build and serve the examples: API on http://127.0.0.1:7000
	bin/distro up --config $(CONFIG)

test: tools-python tools-test format assets types vet build cross unit race e2e ## all tests

check: test lint in-sync ## all tests, linters, and whether generated files are in sync

bench: ## measure throughput, latency and memory of the binary
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 1h ./internal/e2e

fuzz: ## run each fuzz test for FUZZTIME (60s)
	@set -e; for package in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for name in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

screenshots: build ## pictures of every page into dist/screenshots, and those of the READMEs into docs/images
	DISTRO_SCREENSHOTS=$(CURDIR)/dist/screenshots $(GO) test -count=1 -timeout 20m -run TestScreenshotsAreTaken ./internal/e2e

soak: build ## the long tests: many rounds of crashes under load
	DISTRO_SOAK=1 $(GO) test -count=1 -timeout 2h ./internal/broker/... ./internal/python/... ./internal/e2e/...

generate: ## make the generated files again
	$(GO) generate ./...

release: build ## build what is published of a tagged commit, for all systems, into dist
	$(GO) run ./packaging/release

release-snapshot: build ## the same of whatever is there
	$(GO) run ./packaging/release -snapshot

clean: ## remove what was built
	rm -rf bin dist web/node_modules
	find web/dist -type f ! -name .gitkeep -delete

# ---- parts of the targets above

tools-python:
	@command -v $(PYTHON) >/dev/null || { echo 'make: $(PYTHON) is missing: install Python 3.9 or newer' >&2; exit 1; }

# The scripts of the dashboard, as bin/distro holds them. Who runs it needs no npm.
assets:
	@if command -v "$(NPM)" >/dev/null; then $(MAKE) -s web/dist/manifest.json; \
	else echo 'make: npm is missing: the pages are built without scripts'; fi

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@cd web && "$(NPM)" ci --no-audit --no-fund --loglevel=error || \
		{ echo 'make: npm could not fetch what the scripts need; "make NPM= build" builds without them' >&2; exit 1; }
	@touch $@

web/dist/manifest.json: web/node_modules/.package-lock.json $(wildcard web/src/* web/bundle/*)
	cd web/bundle && $(GO) run . ..

types: assets
	web/node_modules/.bin/tsc -p web

# What tests need beside Go and Python: strace, gcc for the race detector, npm and
# a browser for the scripts of the dashboard, curl for what documents say, and Redis, PostgreSQL, venv with pip,
# RQ and Celery as the system packages them, the last three for the system's own
# Python. PostgreSQL's package is kept from making and starting a cluster: tests
# start their own.
tools-test:
	@[ "$$(uname -s)" = Linux ] || exit 0; \
	missing=; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v gcc >/dev/null && [ -e /usr/include/stdlib.h ] || missing="$$missing gcc libc6-dev"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$$missing postgresql"; \
	command -v "$(NPM)" >/dev/null || missing="$$missing nodejs npm"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	[ ! -x /usr/bin/python3 ] || /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	for package in rq celery; do \
		/usr/bin/python3 -c "import $$package" 2>/dev/null || missing="$$missing python3-$$package"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if ! command -v apt-get >/dev/null || { [ "$$(id -u)" != 0 ] && [ -z "$(SUDO)" ]; }; then \
		echo "make: missing:$$missing: install them, or run make test as root" >&2; exit 1; \
	fi; \
	echo "installing$$missing"; \
	no_cluster=/etc/postgresql-common/createcluster.d/no-cluster.conf; \
	$(SUDO) mkdir -p $${no_cluster%/*} && echo 'create_main_cluster = false' | $(SUDO) tee $$no_cluster >/dev/null; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	status=$$?; $(SUDO) rm -f $$no_cluster; exit $$status

format:
	@files=$$(gofmt -l $$(find . -name '*.go' -not -path './bin/*' -not -path '*/node_modules/*')); \
	[ -z "$$files" ] || { echo "not formatted: $$files" >&2; exit 1; }

vet:
	$(GO) vet ./...

cross:
	@set -e; for system in $(SYSTEMS); do \
		echo "build for $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -trimpath -buildvcs=false -o /dev/null ./cmd/distro; \
	done

unit:
	$(GO) test -timeout 30m $(TESTFLAGS) $$($(GO) list ./... | grep -v -F -x -e "$$($(GO) list $(RACED:%=./%))" | grep -v '/internal/e2e$$')

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(TESTFLAGS) $(RACED:%=./%)

# The binary as users run it.
e2e: build
	$(GO) test -count=1 -timeout 30m $(TESTFLAGS) ./internal/e2e/...

$(LINT):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

lint: $(LINT)
	$(LINT) run

# Generated files do not change when they are made again.
in-sync:
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	cp -R docs "$$before"; $(GO) generate ./...; \
	diff -r "$$before/docs" docs || { echo 'make: generated files were out of sync: they are new now, commit them' >&2; exit 1; }
