"""What is done to an ONNX graph: export, simplification, calibration, quantization, float16, embedding, metadata."""
