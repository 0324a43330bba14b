# Every target makes .venv by itself when it is missing, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
OUT := build/demo
MODEL := pose_hrnet_w16_demo_128x96

.PHONY: demo test fast lint results clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[export,eval,openvino,dev]'
	@touch $@

demo: .venv/ready  ## export, verify, bench, check and predict with the checkpoint that comes along
	@mkdir -p $(OUT)
	$(BIN)/python models/demo/generate.py --count 120 --seed 7 -o $(OUT)/images
	$(BIN)/hrnet-deploy export $(MODEL) -o $(OUT)/pose.onnx --dynamic batch --force
	$(BIN)/hrnet-deploy bench $(OUT)/pose.onnx --engine torch --engine torch:channels_last --engine ort --checkpoint $(MODEL) -o $(OUT)/bench.json --force
	$(BIN)/hrnet-deploy check $(OUT)/pose.onnx --against $(MODEL) --images $(OUT)/images -o $(OUT)/check.json --force
	$(BIN)/hrnet-deploy predict $(OUT)/pose.onnx $(OUT)/images -o $(OUT)/predictions --force
	$(BIN)/hrnet-deploy report $(OUT)/bench.json $(OUT)/check.json -o $(OUT)/page.html --force
	@echo "pictures are in $(OUT)/predictions, the figures in $(OUT)/page.html"

test: .venv/ready  ## every test that needs no GPU, the slow ones included
	$(BIN)/pytest -m "not gpu"

fast: .venv/ready
	$(BIN)/pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hrnet_deploy models/demo tests

results: .venv/ready  ## benchmarks/README.md and its pictures, of benchmarks/results
	$(BIN)/python benchmarks/make_readme.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
