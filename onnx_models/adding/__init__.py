"""An ONNX model of your own, looked at, checked and given a card."""
