# Every target makes .venv by itself when it is missing, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
OUT := build/demo
SAID := build/error_messages_that_appeared.txt
MODELS := pose_hrnet_w16_demo_128x96 seg_hrnetv2_w16_demo_256x256 det_hrnetv2p_w16_demo_256x256 face_hrnetv2_w8_demo_96x96 cls_hrnet_w16_demo_64x64

.PHONY: demo test fast lint docs results clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[export,eval,openvino,trt-rtx,docs,dev]'
	@touch $@

demo: .venv/ready  ## export, check, quantize and predict with the demo checkpoints, and bench one
	@mkdir -p $(OUT)
	$(BIN)/python models/demo/generate.py --count 120 --seed 7 -o $(OUT)/images
	$(BIN)/python models/demo/generate.py --count 120 --seed 7 --faces -o $(OUT)/face-images
	$(BIN)/python models/demo/generate.py --count 240 --seed 7 --things -o $(OUT)/cls-images
	set -e; for name in $(MODELS); do \
	  task=$${name%%_*}; images=$(OUT)/images; \
	  if [ -d $(OUT)/$$task-images ]; then images=$(OUT)/$$task-images; fi; \
	  $(BIN)/hrnet-deploy export $$name -o $(OUT)/$$task.onnx --force; \
	  $(BIN)/hrnet-deploy check $(OUT)/$$task.onnx --against $$name --images $$images -o $(OUT)/$$task-check.json --force; \
	  $(BIN)/hrnet-deploy quantize $(OUT)/$$task.onnx -o $(OUT)/$$task-int8.onnx --images $$images --max-drop 2 --force; \
	  $(BIN)/hrnet-deploy predict $(OUT)/$$task-int8.onnx $$images -o $(OUT)/$$task --force; \
	done
	$(BIN)/hrnet-deploy bench $(OUT)/pose.onnx $(OUT)/pose-int8.onnx --engine torch --engine ort --checkpoint $(word 1,$(MODELS)) -o $(OUT)/bench.json --force
	$(BIN)/hrnet-deploy report $(OUT)/bench.json $(OUT)/pose-check.json $(OUT)/seg-check.json $(OUT)/det-check.json $(OUT)/face-check.json $(OUT)/cls-check.json -o $(OUT)/page.html --force
	@echo "pictures are in $(OUT)/pose, $(OUT)/seg, $(OUT)/det, $(OUT)/face and $(OUT)/cls; the figures in $(OUT)/page.html"

test: .venv/ready  ## every test that needs no GPU, the slow ones included
	@mkdir -p build && rm -f $(SAID)
	HRNET_DEPLOY_SAID=$(SAID) $(BIN)/pytest -m "not gpu and not cores and not paper" -n 2 --dist loadfile
	HRNET_DEPLOY_SAID=$(SAID) $(BIN)/pytest -m "cores and not gpu"
	$(BIN)/python docs/error_table.py $(SAID)

fast: .venv/ready  ## the tests that take seconds
	$(BIN)/pytest

lint: .venv/ready  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hrnet_deploy models/demo tests examples docs

docs: .venv/ready  ## the site, into build/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

results: .venv/ready  ## benchmarks/README.md and its pictures, from benchmarks/results
	$(BIN)/python benchmarks/make_readme.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
