# The commands of the course. `make` lists them.

PROFILE ?= fast
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
SUITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PY := .venv/bin/python
INSTRUCTOR := .venv/.installed-instructor
ENV := .venv/.installed $(if $(filter 1,$(GPU)),check-gpu)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help .venv notebooks site lab test test-colab test-oldest lint exercises assignment grade \
	grade-selftest stamp figure weights results curve speed requirements clean \
	distclean check-gpu

help: ## List these commands
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  PROFILE=full  the lessons as a learner runs them (default: fast, embedded images)'
	@echo '  LESSON=03     one lesson, or several: LESSON="01 03"'
	@echo '  GPU=1         also install CUDA for TensorFlow; stop if it then sees no GPU'
	@echo '  PYTHON=...    the interpreter that builds .venv (default: the first of 3.11 to 3.13)'

.venv: $(ENV) ## Build the environment; the other commands do so when they need it

notebooks: $(ENV) ## Execute the lessons into build/ and check their results
	@$(PY) tools/run_lessons.py --profile $(PROFILE) $(addprefix --lesson=,$(LESSON))

site: $(ENV) ## Write the executed lessons as web pages into build/site/ (PROFILE=fast: no long runs)
	@$(PY) tools/make_site.py $(if $(filter command,$(firstword $(origin PROFILE))),--profile $(PROFILE))

lab: $(ENV) ## Open JupyterLab on the lessons
	JUPYTER_PREFER_ENV_PATH=1 $(PY) -m jupyterlab --ServerApp.root_dir=notebooks

test: $(ENV) $(INSTRUCTOR) ## Run the test suite
	$(PY) -m pytest $(if $(filter 1,$(GPU)),,-n 3 --dist worksteal)

test-colab: ## The setup cell, the tests and lessons 01 to 03 among Colab's own packages
test-oldest: ## Run the test suite among the oldest packages that pyproject.toml allows
test-colab test-oldest: $(ENV)
	@$(PY) -m pip install --quiet uv
	@$(PY) tools/replica.py $(@:test-%=%)

lint: $(ENV) ## Check style, types, links, empty notebook outputs and the repository's address
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/check_links.py
	find notebooks -name '*.ipynb' ! -path '*/.ipynb_checkpoints/*' \
		-exec $(PY) -m nbstripout --verify --keep-id {} +
	$(PY) tools/stamp.py --check

exercises: $(INSTRUCTOR) ## Make the exercise notebooks from their solutions
	$(PY) tools/make_exercises.py

assignment: $(INSTRUCTOR) ## Pack exercises for students (ASSIGNMENT=week3.toml chooses)
	@$(PY) tools/assignments.py $(ASSIGNMENT)

grade: $(INSTRUCTOR) ## Grade SUBMISSIONS=folder of students' folders, JOBS=2 at once
	@$(PY) tools/grade.py $(or $(SUBMISSIONS),$(error say which: make grade SUBMISSIONS=folder)) \
		$(ASSIGNMENT) $(if $(JOBS),--jobs=$(JOBS))

grade-selftest: $(INSTRUCTOR) ## Grade made-up students: all answers, none, tampered checks
	@$(PY) tools/grade_selftest.py

stamp: $(ENV) ## Write the repository's address from pyproject.toml into lessons and pages
	$(PY) tools/stamp.py

figure: $(ENV) ## Make the README's figures of enlarged photographs
	$(PY) tools/readme_figure.py
	rm -rf build/mine
	$(PY) -m srcnn_tf train fsrcnn --scale 3 --data samples --steps 3000 --out build/mine
	cp build/mine/fsrcnn-x3-example.png docs/images/mine_x3.png

weights: $(ENV) ## Train the shipped weights into build/weights; goes on where it stopped
	$(PY) tools/make_weights.py

results: $(ENV) ## Score the shipped weights on Set5 and Set14; write the README's table and its figure
	@mkdir -p build
	$(PY) -m srcnn_tf benchmark --csv build/results.csv --html build/results.html --overwrite
	$(PY) tools/readme_table.py build/results.csv
	$(PY) tools/weights_figure.py

curve: $(ENV) ## Measure minutes of training against Set5 PSNR into docs/ (20 minutes, two cores)
	$(PY) speed/time_to_quality.py

speed: $(ENV) ## Measure pipeline, training, inference, memory and films
	$(PY) speed/pairs.py
	$(PY) speed/fit.py
	$(PY) speed/steps.py
	$(PY) speed/inference.py
	$(PY) speed/engines.py
	$(PY) speed/memory.py
	$(PY) speed/films.py

requirements: $(ENV) ## Pin requirements.txt anew from pyproject.toml (UPGRADE=1: newest versions)
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --extra course --extra dev --extra export --extra video \
		$(if $(UPGRADE),--upgrade) --custom-compile-command "make requirements" \
		pyproject.toml -o requirements.txt
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --extra instructor \
		-c requirements.txt $(if $(UPGRADE),--upgrade) \
		--custom-compile-command "make requirements" pyproject.toml -o requirements-instructor.txt

clean: ## Remove what the commands made, .venv apart
	rm -rf build .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-prune -exec rm -rf {} +

distclean: clean ## Remove .venv too, and those of test-colab and test-oldest
	rm -rf .venv .venv-colab .venv-oldest *.egg-info

# Written last, so that an interrupted installation is not taken for a complete one.
.venv/.installed: requirements.txt pyproject.toml
	@$(PY) -c 'import pip; $(SUITS)' 2>/dev/null || { \
		for python in $(CANDIDATES); do \
			$$python -c '$(SUITS)' 2>/dev/null && break; python=; \
		done; \
		if [ -z "$$python" ]; then \
			echo 'This course needs Python 3.11, 3.12 or 3.13 with its venv module,' \
				'and none of these is one: $(CANDIDATES).' >&2; exit 1; \
		fi; \
		$$python -m venv --clear .venv; \
	}
	@echo 'Installing into .venv: a few minutes the first time.'
	@test -t 1 || quiet=--quiet; \
		$(PY) -m pip install $$quiet -r requirements.txt && \
		$(PY) -m pip install $$quiet --no-deps -e .
	@touch $@

.venv/.installed-instructor: .venv/.installed requirements-instructor.txt
	@$(PY) -m pip install --quiet -r requirements-instructor.txt
	@touch $@

.venv/.installed-gpu: .venv/.installed
	$(PY) -m pip install -c requirements.txt -e '.[gpu]'
	@touch $@

check-gpu: .venv/.installed-gpu
	@$(PY) -c 'import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices("GPU"))' \
		2>/dev/null || { echo 'GPU=1, but TensorFlow sees no GPU here.' >&2; exit 1; }
