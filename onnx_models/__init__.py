"""Text encoders without PyTorch: cards that describe them and ONNX Runtime sessions that run them.

Start with `onnx_models.cards.load_card` (fast to import) and `onnx_models.running.session.open_encoder`.
"""
