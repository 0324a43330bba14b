"""TensorRT: `missing` says whether it can run, `build` makes a plan of an ONNX file, `timing_cache` keeps its timings of kernels,
`engine` opens a plan and runs it in lanes (`lane`: a context and its stream) on PyCUDA's memory (`arena`), `layers` reads what
TensorRT made of the graph. What a plan was made for is in its manifest, `graph.plan`."""
