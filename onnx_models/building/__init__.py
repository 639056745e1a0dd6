"""From a folder of weights to an ONNX graph, and what can be read off a graph."""
