"""An encoder's graph with its card: built with NumPy and onnx, or exported and fine-tuned with torch."""
