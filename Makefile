# What a checkout can do. `make` alone lists it.

GO       ?= go
FUZZTIME ?= 60s
# Flags for `make run` and `make bench`: make run ARGS='--include net.ipv4 --verbose'
ARGS     ?=

# What `netns-verify version` says; a tree that is not its own git checkout is "devel".
GIT     := git -c safe.directory='$(CURDIR)'
INGIT   := $(shell [ -e .git ] && command -v git)
VERSION ?= $(or $(if $(INGIT),$(shell $(GIT) describe --tags --match 'v[0-9]*' --dirty 2>/dev/null)),devel)
COMMIT  ?= $(or $(if $(INGIT),$(shell $(GIT) describe --always --exclude '*' --abbrev=40 --dirty 2>/dev/null)),unknown)

# The version is stamped above; go's own stamping fails in trees of other owners.
export GOFLAGS := $(shell $(GO) env GOFLAGS) -buildvcs=false

TOOLS := $(CURDIR)/.cache/tools-$(shell $(GO) env GOVERSION)

.DEFAULT_GOAL := help
.PHONY: help
help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: ## build the static binary bin/netns-verify
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -E netns_verify_entry' -o bin/netns-verify ./cmd/netns-verify

# A leak (1) is an answer, not a failure of make: it is said, and make succeeds.
# For the exit status itself use bin/netns-verify. sudo only where it is needed.
.PHONY: run
run: build ## test the running kernel: builds, then `netns-verify run $(ARGS)`
	@sudo=; if [ "$$(id -u)" != 0 ] && command -v sudo >/dev/null; then sudo=sudo; fi; \
	$$sudo bin/netns-verify run $(ARGS); status=$$?; \
	if [ $$status = 1 ]; then echo 'make run: netns-verify ended with exit status 1: leaks found (see above)' >&2; exit 0; fi; \
	exit $$status

# `make test` takes a sample of what takes long, `make test-all` the whole. Guests wait a
# good part of their time, so there are more of them than processors.
SIMULATED := 1000
RACED     := 100
SLOW      := ^Test(DefaultIsNeverFalse|CreationsAfterLateLeak|StoppedCreations|LateBehindAnother|LongAfter)$$
KERNELS   := 6.1-cloud
PLANTED   := 6.1-cloud
BOOTS     := 1
WHOLE     := SIMULATED=10000 RACED=500 SLOW='^$$$$' KERNELS='5.10-cloud 6.1-cloud 6.12-cloud newest-cloud' \
             PLANTED='6.1-cloud 6.12-cloud' BOOTS=3

.PHONY: test
test: check machines ## lint, all tests with the race detector; simulated kernels, a real one and the planted-leak module in VMs
	@.ci/need cc=gcc,libc6-dev unshare=util-linux
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 NETNS_VERIFY_KERNELS=$(RACED) $(GO) test -race -skip '$(SLOW)' -parallel 4 -timeout 30m ./...
	$(MAKE) --no-print-directory -j 4 test-simulated test-kernels test-planted $(if $(findstring vm,$(NETNS_VERIFY_REQUIRE)),storm STORM='$(SQUALL)')

.PHONY: test-all
test-all: ## the same with ten times as many simulated kernels, all real ones, a longer storm; and faults (root; hours)
	@.ci/kernels
	$(MAKE) --no-print-directory lint test $(WHOLE)
	$(MAKE) --no-print-directory storm STORM='$(GALE)'
	$(MAKE) --no-print-directory faults

# Its time is simulated, too: it takes what the guests leave of the processor. The race
# detector makes it ten times as slow, so most of what it proves is proved here.
.PHONY: test-simulated
test-simulated: ## find the leaks of SIMULATED (1000) simulated kernels, and all else that is tried on such
	NETNS_VERIFY_KERNELS=$(SIMULATED) nice -n 19 $(GO) test -timeout 60m -skip '^TestKernel$$' -v ./internal/simkernel

.PHONY: test-kernels
test-kernels: machines ## boot Debian's KERNELS (6.1-cloud), and compare what is found with what is known
	$(GO) test -timeout 10m -run '^TestRealPackages$$' ./internal/kernel
	$(GO) test -timeout 60m -run '^TestKernels$$' -v ./cmd/netns-verify -kernels '$(KERNELS)'

.PHONY: test-planted
test-planted: machines ## find the leaks of the planted-leak module, in the kernels PLANTED (6.1-cloud), BOOTS (1) times
	$(GO) test -timeout 3h -run '^(TestPlanted|TestVMLoads)$$' -v ./cmd/netns-verify -kernels '$(PLANTED)' -boots $(BOOTS)

# What tests boot. Where it cannot be had they are skipped, if they may be.
.PHONY: machines
machines:
	@{ .ci/need qemu-system-x86_64=qemu-system-x86 && $(MAKE) --no-print-directory leaky; } || \
	case ",$$NETNS_VERIFY_REQUIRE," in \
	*,vm,*) exit 1 ;; \
	*) echo 'make: no kernel can be booted here (see above): the tests that do are skipped' >&2 ;; \
	esac

.PHONY: lint
lint: check ## gofmt, tidy, vet, staticcheck, errorlint, zerologlint; govulncheck
	.ci/vulncheck $(TOOLS)/govulncheck

# All of lint that says the same today and tomorrow.
.PHONY: check
check: tools
	@unformatted=$$(gofmt -l cmd parent child protocol internal); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted" >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(TOOLS)/staticcheck ./...
	$(TOOLS)/go-errorlint -test ./...
	$(GO) vet -vettool=$(TOOLS)/zerologlint ./...

# Their versions are pinned in a module of their own: none of it is in go.mod.
.PHONY: tools
tools:
	@mkdir -p $(TOOLS)
	$(GO) build -C .ci/tools -o $(TOOLS)/ tool

.PHONY: bench
bench: build ## measure whole runs, looks at the host, and vm (root); ARGS='-base FILE' compares with another build
	CGO_ENABLED=0 $(GO) build -trimpath -o .cache/bench ./internal/bench
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o .cache/poweroff ./internal/bench/poweroff
	.cache/bench $(ARGS)

# STORM: what is hit how often, in runs of which keys, and the runs' own flags; a short one
# and a longer one.
STORM  ?= -- --devices none
SQUALL := -parent 6 -child 2 -guardian 2 -both 2 -signal 2 -rows same_key,cross -- --devices none
GALE   := -parent 100 -child 20 -guardian 20 -both 10 -signal 20 -- --devices none
.PHONY: storm
storm: build machines ## kill runs at random moments in machines, and see that the host is put back
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.build=$(COMMIT)' -o .cache/storm ./internal/storm
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.build=$(COMMIT)' -o .cache/storm-guest ./internal/storm/guest
	.cache/storm $(STORM)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (60s) each
	FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: faults
faults: ## have every system call of the parent fail once in every way, one a run (root; an hour)
	@mkdir -p .cache; status=0; \
	NETNS_VERIFY_FAULTS=all $(GO) test -timeout 5h -parallel 4 -run '^TestInjectedFaults$$' -v ./cmd/netns-verify >.cache/faults.log || status=$$?; \
	grep -v '^=== \|--- PASS' .cache/faults.log; exit $$status

.PHONY: kernels
kernels: ## fetch the Debian kernels of the VM tests, KERNELS and PLANTED, into .cache/kernels
	@.ci/kernels $(sort $(KERNELS) $(PLANTED))

.PHONY: leaky
leaky: kernels ## build the planted-leak module for the kernels PLANTED into .cache/leaky
	@.ci/leaky $(PLANTED)
