# Needs Go, make, bash and the usual Unix tools; `make race` also a C compiler,
# `make conformance` Python 3.10 or newer with venv; `make browser`, `make screenshots`
# and `make bench-ui` Node 20 or newer with npm, and Chromium.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN      := bin/fcflow
GO       := CGO_ENABLED=0 go
FUZZTIME ?= 30s
KILLS    ?= 200
TRANSFERS ?= 1000
SCHEDULES ?= 10000
GRAPHS   ?= 20000
WORKFLOWS ?= 20
RUNS     ?= 50
TIMES    ?= 5
PERIOD   ?= 5
EVERY    ?= 3s
SLEEP    ?= 5
SEED     ?= 1
DIR      ?= build/screenshots
export CHROMIUM ?= /usr/bin/chromium

.PHONY: help build test race lint generate verify conformance fuzz bench bench-transfer crash protocol simulate crash-million mutants oracle transfers groups serve-crash gentle canary browser screenshots bench-ui demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/fcflow, one static binary
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/fcflow

test: ## run every test once
	$(GO) test ./...

race: ## run every test with the race detector, in random order
	CGO_ENABLED=1 go test -race -shuffle=on ./...

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

generate: build ## write the schema and the generated pages of docs/
	$(BIN) schema > schema/workflow.schema.json
	$(BIN) docs write docs

verify: generate ## prove that generated files, go.mod, import rules and operations are right
	@test -z "$$(git status --porcelain -- schema docs)" || { git status --short -- schema docs; echo 'generated files were stale: commit what make generate wrote'; exit 1; }
	go mod tidy -diff
	$(GO) test -count=1 ./internal/archtest
	$(GO) test -count=1 -run 'Schema|EveryCode' ./workflow
	$(GO) test -count=1 -run 'Operation' ./firecrest/... ./sandbox
	$(GO) test -count=1 ./steps

conformance: build ## run the official Python client, every method and command, on the sandbox; SEED=random makes up other requests for the API
	FCFLOW=$(BIN) SEED=$(SEED) conformance/run

fuzz: ## fuzz each target for FUZZTIME (30s), a time or a count such as 4000x
	@for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: build ## measure the figures and print them beside their goals
	$(GO) run ./bench -fcflow $(BIN)

bench-transfer: build ## move 1 GiB over a slow network, beside simpler clients and the official one
	$(GO) run ./bench/transfer -fcflow $(BIN)

crash: build ## kill the real program KILLS times (200) at random moments and resume it
	$(GO) test -count=1 -v -run TestKill ./internal/crashtest -kills $(KILLS)

protocol: ## look at every state of the submission protocol, two crashes and all jobs that can be
	$(GO) test -count=1 -v -run TestProtocol ./internal/protocoltest -protocol.jobs 4 -protocol.crashes 2

simulate: ## go through SCHEDULES (10000) random schedules of kills and faults in virtual time, and every crash point
	$(GO) test -count=1 -v -timeout 2h ./internal/simulation -schedules $(SCHEDULES) -every 1 | grep -v '^ *\(=== \|--- PASS\)'

crash-million: ## go through a million random schedules of kills and faults
	GOGC=2000 GOMEMLIMIT=8GiB $(GO) test -count=1 -v -timeout 0 -run TestSchedules ./internal/simulation -schedules 1000000 | grep -v '^ *\(=== \|--- PASS\)'

mutants: ## plant 35 mistakes, one at a time, each of which a test must notice
	@$(GO) test -count=1 -v -timeout 30m -parallel 2 -run TestMutants ./internal/mutants -mutants . | grep -v '^ *=== '

oracle: ## compare how GRAPHS (20000) random workflows end with what a second interpreter says
	$(GO) test -count=1 -v -timeout 1h -run 'TestEngineAgrees|TestMistakesAreSeen' ./internal/oracle -graphs $(GRAPHS) | grep -v '^ *\(=== \|--- PASS\)'

transfers: ## move files TRANSFERS times (1000) while parts are lost, connections cut, programs killed
	$(GO) test -count=1 -v -run TestTransfers ./internal/transfertest -transfers $(TRANSFERS) | grep -v '^ *\(=== \|--- PASS\)'

groups: ## have 60 processes share the 3 places of a concurrency group while KILLS (200) of them are killed
	$(GO) test -count=1 -v -timeout 30m ./internal/grouptest -group.runs 60 -group.kills $(KILLS) | grep -v '^ *=== '

serve-crash: ## kill fcflow serve, with WORKFLOWS (20) on a schedule and RUNS (50), TIMES (5) times; long: WORKFLOWS=200 RUNS=500 TIMES=20 PERIOD=60 EVERY=40s SLEEP=11
	$(GO) test -count=1 -v -timeout 60m ./internal/servetest -serve.workflows $(WORKFLOWS) -serve.runs $(RUNS) -serve.kills $(TIMES) \
		-serve.period $(PERIOD) -serve.every $(EVERY) -serve.sleep $(SLEEP) | grep -v '^ *=== '

gentle: ## count what a site sees of 1,000 jobs at once, 10,000 jobs at a restart, and a limit on requests
	$(GO) test -count=1 -v ./internal/gentletest -jobs 1000 -waiting 10000 | grep -v '^ *\(=== \|--- PASS\)'

canary: ## plant made-up secrets, work for a day with others, and look for them in what is left
	$(GO) test -count=1 -run TestPlanted ./internal/canary
	$(GO) test -count=1 -v -run TestCanary ./internal/securitytest | grep -v '^ *=== '

browser: build browser/node_modules ## drive the web page in a real Chromium, by keyboard, with axe
	cd browser && FCFLOW=$(abspath $(BIN)) npm test

screenshots: build browser/node_modules ## make a picture of each page, light and dark, wide and narrow, in DIR (build/screenshots)
	cd browser && FCFLOW=$(abspath $(BIN)) npm run screenshots -- $(abspath $(DIR))

bench-ui: build browser/node_modules ## measure the web page with a run of 10,000 instances
	cd browser && FCFLOW=$(abspath $(BIN)) npm run bench

browser/node_modules: browser/package-lock.json
	@command -v $(CHROMIUM) >/dev/null || apt-get install -y chromium || { echo 'install Chromium, or say where it is: CHROMIUM=/path'; exit 1; }
	cd browser && for pause in 10 30 0; do npm ci --ignore-scripts --no-audit --no-fund && exit; sleep $$pause; done; exit 1
	@touch $@

demo: build ## run the quickstart on the sandbox and look at what it fetched
	@.ci/demo $(BIN)

clean: ## remove what was built
	rm -rf bin build
