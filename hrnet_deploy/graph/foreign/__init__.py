"""ONNX files of other exporters: read, understood, and rewritten to the inputs and outputs of `export`."""
