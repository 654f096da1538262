"""PANNs' log-mel, once, for training, streaming and export: `LogMel`, its host-side stream, its float64 reference."""

from toolkit.frontend.log_mel import STREAM_CHUNK_FRAMES, LogMel
from toolkit.frontend.mel import mel_filters
from toolkit.frontend.reference import FeatureError, feature_error, reference_log_mel, reference_mel_power
from toolkit.frontend.stream import LogMelStream

__all__ = [
    "STREAM_CHUNK_FRAMES",
    "FeatureError",
    "LogMel",
    "LogMelStream",
    "feature_error",
    "mel_filters",
    "reference_log_mel",
    "reference_mel_power",
]
