"""A torch module becomes a runtime's file. Knows no device, no Run, no Bundle and no audio; one module a format."""
