"""TensorRT.

`missing` says whether TensorRT can run here. `build` makes a plan from an ONNX file, and `timing_cache` keeps
TensorRT's timings of kernels between builds. `engine` opens a plan and runs it, with one or several execution contexts
(`execution_context`) on PyCUDA's memory (`arena`). `layers` reads into which layers TensorRT compiled the graph. The
manifest of a plan is in `graph.plan`.
"""
