"""The native agents: small C++ programs that time model files on devices without Python, or without torch.

Built here, run by `toolkit.targets`. Knows no device and no model.
"""
