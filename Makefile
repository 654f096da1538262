# `make demo` and `make test` set everything up in .venv first; `make help` lists the rest.
# A set-up is repeated only when the lock or pyproject.toml changes.

VENV := .venv
PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3,$(shell $(python) -c \
	'import sys; print("$(python)" if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)))

# TORCH=cpu takes PyTorch's small build in place of the locked one, which on Linux x86-64 is the 3 GB CUDA build.
# The name of the stamp remembers the choice.
TORCH ?= $(if $(wildcard $(VENV)/installed-cpu),cpu,locked)
STAMP := $(VENV)/installed-$(TORCH)

RUN := $(VENV)/bin/python -m
UV_INSTALL := $(VENV)/bin/uv pip install --python $(VENV)/bin/python --no-build-isolation
COMPILE_APART := $(VENV)/bin/uv pip compile --quiet --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
COMPILE := $(COMPILE_APART) --universal --fork-strategy fewest --constraints requirements/constraints.in

# As typed: a `$` in a file name is no variable of make.
override AUDIO := $(value AUDIO)
export AUDIO

.PHONY: help demo test test-all test-recordings test-system test-android android lint format lock clean
.PHONY: system-packages android-packages recordings
.NOTPARALLEL:

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run the whole chain on this machine; AUDIO=FILE listens to a recording of yours
	@$(RUN) toolkit.demo $${AUDIO:+--audio "$$AUDIO"}

test: lint ## Lint, check types and run the tests that need Python alone
	$(RUN) pytest -n auto
	@echo
	@echo 'Not run by `make test`:'
	@echo '  recordings, tests on real recordings:      AEC_DATA=FOLDER make test-recordings'
	@echo '  system, tests that need system packages:   make test-system'
	@echo '  android, the demo app and its APKs:        make test-android'
	@echo '  demo, the whole chain on this machine:     make demo'
	@echo 'All suites: AEC_DATA=FOLDER make test-all'

test-all: recordings system-packages android-packages test demo test-system test-recordings test-android ## Run every suite; fail where one is missing

test-recordings: recordings $(STAMP) ## Run the tests on the recordings in the folder AEC_DATA
	$(RUN) pytest -n auto -m recordings

test-system: system-packages $(STAMP) ## Install the system packages and run the tests that need them
	$(RUN) pytest -m system

test-android: android ## Build the Android demo app and test its APKs
	$(RUN) pytest -m android

# The app keeps a bundle that lies in its assets; else it gets the int8 file of pixel7's pick. Its own tests, which Maven
# runs, compare with what fixtures.py makes of that pick's int8 and fp32 files.
ASSETS := android_demo/app/src/main/assets/bundle
android: android-packages $(STAMP) ## Build and test the Android demo app with the bundle in its assets, or pixel7's pick
	rm -rf android_demo/target/out
	$(RUN) toolkit.search --device pixel7 --out android_demo/target/out
	$(RUN) toolkit.export --device pixel7 --out android_demo/target/out \
		$(if $(wildcard $(ASSETS)/manifest.json),,--android android_demo) --mode stream --precision int8 --precision fp32
	$(VENV)/bin/python tests/android/fixtures.py android_demo/target/out/bundles/* android_demo/target/fixtures
	$(VENV)/bin/python android_demo/build_apk.py
	@echo 'The bundle inside is that of $(ASSETS), which stays there until export --android brings another.'

lint: $(STAMP) ## Check style, format and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

format: $(STAMP) ## Format the code and mend what ruff can
	$(RUN) ruff check --fix
	$(RUN) ruff format

lock: $(VENV)/bin/uv ## Write the locks anew from pyproject.toml; UPGRADE=1 takes the newest versions
	$(COMPILE) pyproject.toml --all-extras --output-file requirements/all.txt
	$(COMPILE) pyproject.toml --extra device \
		--constraints requirements/all.txt --output-file requirements/device.txt
	printf 'setuptools\nuv\n' | $(COMPILE) - --no-annotate \
		--constraints requirements/all.txt --output-file requirements/setup.txt
	$(COMPILE_APART) --universal --project requirements/apart/onnx2tf requirements/apart/onnx2tf/pyproject.toml \
		--output-file toolkit/lower/onnx2tf.txt
	printf 'ai-edge-litert\nexecutorch\n' | $(COMPILE_APART) - --universal --no-deps \
		--constraint requirements/all.txt --output-file toolkit/native/wheels.txt
	printf 'tflite-runtime==2.14.0\nnumpy<2\n' | $(COMPILE_APART) - --no-annotate \
		--output-file requirements/apart/tflite-runtime.txt

clean: ## Remove the environment and every cache
	rm -rf android_demo/target android_demo/*/target $(ASSETS)
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find toolkit benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

system-packages:
	@scripts/install-system-packages

android-packages:
	@scripts/install-android-packages

recordings:
	@test -d "$$AEC_DATA" || { echo >&2 "AEC_DATA='$$AEC_DATA' is no folder: the recordings suite cannot run." \
		"Set AEC_DATA to a folder with recordings and their manifest.csv."; exit 2; }

$(VENV)/bin/uv: requirements/setup.txt
	@test -n "$(PYTHON)" || { echo >&2 "No Python 3.11, 3.12 or 3.13 found." \
		"Install python3.11 with its venv module, or name one: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	@touch $@

# The hashes of the lock cannot cover the CPU build, which is not where the lock's files are: everything but torch
# comes from the lock, and torch at the locked version from PyTorch's own index, which uv knows by name.
$(STAMP): $(VENV)/bin/uv requirements/all.txt pyproject.toml
ifeq ($(TORCH),cpu)
	@sed -nE 's/^(torch|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+)==.*/\1/p' requirements/all.txt > $(VENV)/not-from-lock.txt
	$(UV_INSTALL) --require-hashes --excludes $(VENV)/not-from-lock.txt -r requirements/all.txt
	$(UV_INSTALL) --no-deps --reinstall-package torch --torch-backend cpu "$$(sed -nE 's/^(torch==[0-9.]+).*/\1/p' requirements/all.txt)"
else
	$(UV_INSTALL) --require-hashes -r requirements/all.txt
endif
	$(UV_INSTALL) --no-deps --editable .
	@rm -f $(VENV)/installed-*
	@touch $@
