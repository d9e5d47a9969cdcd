# Every target works on a bare clone: the environment is itself a target.
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
CODE   := benchmarks bgpledger collector docs examples schemas tests
LINT   := style types docs
# Targets that wait for the network or for one core, at once; each says in one piece what it has to say.
BESIDE  = $(MAKE) --no-print-directory --jobs --output-sync

# Of `make faults`; `make test` kills four times, and twice during 24 orders.
KILLS   ?= 50
CHANGES ?= 500
SEED    ?=
MRT     ?=
AWAY    ?=

# Of `make fuzz`. (A shell's own LINES is how many its window has.)
FUZZ_LINES ?= 1000000

# Of `make large-dump`.
PREFIXES ?= 1000000
PEERS    ?= 40

# Of `make bench`.
FIGURES ?=
ROUNDS  ?=
TABLES  ?= 20
STORE   ?=

# Tests start hundreds of processes: each would compile all modules again where the environment forbids to keep them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run test bare-debian whole-table large-dump faults fuzz differences http-questions http-schema bench \
	tools docs pictures lint style types format lock clean
.DELETE_ON_ERROR:

help: ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

demo: $(READY) ## the main job in one minute: a peer that plays a feed, and its history
	@$(BIN)/bgpledger demo

run: $(READY) ## the collector with conf/collector.toml, until Ctrl-C
	@$(BIN)/bgpledger run --config conf/collector.toml

test: $(READY) ## what the tests need, beside it what `lint` looks at; then the tests
	@$(BESIDE) tools $(LINT)
	SITE=site $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

bare-debian: ## `make demo` and `make test` of what is committed, in a Debian 12 with nothing installed; as root
	@.ci/bare-debian

whole-table: $(READY) tools ## files of RIS against bgpdump, of which `make test` takes the beginning, one of them written again, a table that GoBGP dumps
	WHOLE_TABLE=1 $(BIN)/python -m pytest tests/endtoend/test_bgpdump.py tests/endtoend/test_importing.py \
		tests/endtoend/test_time_machine.py tests/endtoend/test_exporting.py tests/integration/test_foreign_dumps.py $(PYTEST_ARGS)

large-dump: $(READY) ## a RIB dump of a million prefixes and forty peers through the import, in flat memory: PREFIXES=n PEERS=n
	DUMP_PREFIXES=$(PREFIXES) DUMP_PEERS=$(PEERS) $(BIN)/python -m pytest -s tests/endtoend/test_large_dump.py $(PYTEST_ARGS)

faults: $(READY) tools ## kill every part, take the store away, and compare: KILLS=200 CHANGES=500 SEED=n MRT=file AWAY=seconds
	FAULTS_KILLS=$(KILLS) FAULTS_CHANGES=$(CHANGES) FAULTS_SEED=$(SEED) FAULTS_MRT=$(MRT) FAULTS_AWAY=$(AWAY) \
		$(BIN)/python -m pytest -s tests/faults $(PYTEST_ARGS)
	RELOAD_ORDERS=1000 $(BIN)/python -m pytest tests/integration/test_acting_reload.py $(PYTEST_ARGS)

fuzz: $(READY) ## hostile lines over decode and the whole path, hostile command lines, and many more examples: FUZZ_LINES=1000000 SEED=n
	FUZZ_LINES=$(FUZZ_LINES) FUZZ_SEED=$(SEED) FUZZ_WORDS=2000 \
		$(BIN)/python -m pytest -s tests/fuzz tests/store/test_any_words.py $(PYTEST_ARGS)
	HISTORIES=20 $(BIN)/python -m pytest tests/store/test_history_newest.py $(PYTEST_ARGS)
	IMPORT_ORDERS=50 $(BIN)/python -m pytest tests/store/test_import_orders.py $(PYTEST_ARGS)
	INJECTIONS=20000 FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/http/test_injection.py $(PYTEST_ARGS)
	$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile thorough tests/unit $(PYTEST_ARGS)

differences: $(READY) ## every UPDATE of two RIS files, read from its bytes and from ExaBGP's JSON
	EVERY=1 $(BIN)/python -m pytest -s tests/unit/test_exabgp_differences.py $(PYTEST_ARGS)

http-questions: $(READY) ## 500 random questions over HTTP, whose answers have to be the command line's: SEED=n
	HTTP_QUESTIONS=500 HTTP_SEED=$(SEED) $(BIN)/python -m pytest --timeout 3600 tests/http/test_equal.py $(PYTEST_ARGS)

http-schema: $(READY) ## schemathesis over the whole API, 100 examples of each question; and all odd requests that we know
	HTTP_EXAMPLES=100 HTTP_ODD=1 $(BIN)/python -m pytest --timeout 3600 tests/http/test_schema.py \
		tests/http/test_odd_requests.py $(PYTEST_ARGS)

bench: $(READY) ## what it costs, into docs/benchmarks.md: MRT=file ROUNDS=n FIGURES="decode receive" TABLES=n STORE=secantusd-rs
	@MRT=$(MRT) ROUNDS=$(ROUNDS) FIGURES="$(FIGURES)" TABLES=$(TABLES) STORE=$(STORE) $(BIN)/python -m benchmarks

tools: $(READY) ## the BGP daemons and other programs that the tests talk to
	@.ci/install-test-tools

docs: $(READY) ## docs/ as a site, site/index.html; a link that leads nowhere is an error
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going docs site

pictures: $(READY) tools ## docs/pictures: the pages as a browser shows them, with the demo's data
	$(BIN)/python -m tests.http.pictures docs/pictures

lint: $(READY) ## style, types, and whether docs/ makes a site
	@$(BESIDE) $(LINT)

style: $(READY) ## ruff
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(READY) ## mypy
	$(BIN)/mypy

format: $(READY) ## let ruff rewrite the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

lock: $(READY) ## pin what pyproject.toml asks for
	$(BIN)/uv pip compile -q pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header -o requirements.lock

clean: ## remove the environment and the demo's data
	rm -rf .venv .demo .tools .bench site

$(READY): requirements.lock pyproject.toml .ci/make-venv
	@.ci/make-venv $(PYTHON)
	@touch $@
