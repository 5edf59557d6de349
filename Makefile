.DEFAULT_GOAL := help
FUZZ_SECONDS ?= 60
FROM ?= 1
SEEDS ?= 4
PLANS ?= 10000
QUIET ?= 10000
GENERATIONS ?= 10000
JOBS ?= 1
TIMES ?= 2
SBOM ?= target/testmo-courier.cdx.json
.PHONY: help demo demo-stop monitoring kubernetes-test systemd-test release-test sbom api-test browser-test chaos upgrade-test simulate bench test fmt lint docs unit fuzz mutants deny clean

help: ## what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## watch batches travel from RabbitMQ into a stand-in of Testmo (KEEP=1 leaves it running)
	@KEEP=$(KEEP) tests/demo/run.sh

demo-stop: ## end what `make demo KEEP=1` left running
	@tests/demo/run.sh stop

monitoring: ## alerts and dashboard, tried with a private Prometheus and a worker under load
	@tests/monitoring/run.sh

kubernetes-test: ## manifests, image and compose file, rendered and validated without a cluster
	@tests/kubernetes/run.sh

systemd-test: ## the unit for systemd: its exposure, and a worker that is confined as the unit says
	@tests/systemd/run.sh

release-test: ## what makes a release: workflows, archive, shell completions and SBOM, checked without a release
	@tests/release/run.sh

sbom: ## which crates the program is built from, as a CycloneDX document in SBOM; needs cargo-cyclonedx
	@deploy/release/sbom.sh $(SBOM)

api-test: ## the JSON API by its own OpenAPI document, with schemathesis (EXAMPLES=n for each route) and a linter
	@tests/api/run.sh

browser-test: ## the console in a real browser: every flow, accessibility, attacks, and the pictures in docs (UPDATE_DOCS=1 writes them)
	@tests/env/install.sh rabbitmq-server postgresql chromium chromium-driver
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-2} cargo test --test browser --locked

chaos: ## break everything around workers by SEEDS (4) plans from seed FROM (1), with REPLICAS 1, 3 or both (LATE=1: late commits)
	@tests/env/install.sh rabbitmq-server postgresql
	cargo build --workspace --bins --locked
	target/debug/testmo-chaos --from $(FROM) --seeds $(SEEDS) $(if $(REPLICAS),--replicas $(REPLICAS)) $(if $(LATE),--late) \
		--program target/debug/testmo-courier --results target/chaos-results.txt \
		--revision "$$(git describe --always --dirty 2>/dev/null || echo unknown)"

upgrade-test: ## TIMES (2) rolling upgrades from the version before and back, under load and faults, from seed FROM (1)
	@FROM=$(FROM) TIMES=$(TIMES) tests/upgrade/run.sh

simulate: ## the worker's logic in paused time: PLANS (10000) with every fault, QUIET (10000) replays and GENERATIONS (10000), from seed FROM (1), JOBS (1) at once
	cargo build --profile simulation --package testmo-simulation --locked
	target/simulation/testmo-simulate --from $(FROM) --plans $(PLANS) --jobs $(JOBS)
	target/simulation/testmo-simulate --from $(FROM) --plans $(QUIET) --jobs $(JOBS) --quiet
	target/simulation/testmo-simulate --from $(FROM) --plans $(GENERATIONS) --jobs $(JOBS) --generations

bench: ## measure the worker and its peers, which takes more than an hour (ROW=n for one row)
	@benches/run.sh $(if $(ROW),--row $(ROW))

test: ## everything that is checked, with all set-up
	@tests/env/suite.sh

unit: ## only the tests that need no broker
	cargo test --workspace --lib --bins --locked

fmt: ## format the code
	cargo fmt --all

lint: ## formatting and clippy, as `make test` checks them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

docs: ## the code's documentation, in target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

fuzz: ## feed the decoder odd bytes for FUZZ_SECONDS (60); needs a nightly toolchain and cargo-fuzz
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is not installed: cargo install --locked cargo-fuzz"; exit 2; }
	mkdir -p fuzz/corpus/decode
	cargo +nightly fuzz run decode fuzz/corpus/decode tests/demo/batches -- \
		-dict=fuzz/decode.dict -max_len=65536 -max_total_time=$(FUZZ_SECONDS)

mutants: ## changes of the code that no test notices: OF=core (default) or OF=worker; needs cargo-mutants, takes hours
	@tests/env/mutants.sh $(or $(OF),core) $(FILES)

deny: ## licences, advisories and sources of the dependencies
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo "cargo-deny is not installed: cargo install --locked cargo-deny"; fi

clean: ## delete what was built
	cargo clean
