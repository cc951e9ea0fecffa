"""Log-power spectrograms of speech-like sound: real input for NSNet2."""

from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 16_000
WINDOW = 320
"""Samples of a frame: 20 ms."""
HOP = 160
"""Samples from frame to frame: 10 ms."""

Signal = npt.NDArray[np.float32]

# Centre and width of the formants of an open vowel, in Hz.
FORMANTS = ((700, 130), (1220, 170), (2600, 250), (3500, 300))


def spectrogram(signal: Signal) -> npt.NDArray[np.float32]:
    """The features NSNet2 takes: log10 of the power of each bin, as float32 [1, frames, 161].

    Frames are weighted with the square root of a Hann window, the last one is filled up with zeros, and power is
    held above 1e-12, all as in the model's own preprocessing.
    """
    frames = -(-len(signal) // HOP)
    padded = np.zeros((frames - 1) * HOP + WINDOW, dtype=np.float64)
    padded[: len(signal)] = signal
    framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(framed * np.sqrt(np.hanning(WINDOW)), axis=1)
    power: npt.NDArray[Any] = np.abs(spectrum) ** 2
    features: Signal = np.log10(np.maximum(power, 1e-12)).astype(np.float32)
    return features[np.newaxis]


def speech(seconds: float = 2.0, noise: float = 0.01, seed: int = 0) -> Signal:
    """Something like a voice at 16 kHz, three syllables a second with pauses between, in white noise.

    Harmonics of a pitch that wanders around 130 Hz, weighted by the formants of a vowel; `noise` is the noise's
    standard deviation, the voice's peaks reach about 0.5.
    """
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 130 + 20 * np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    harmonics = np.arange(1, 31)[:, np.newaxis]
    weights = sum(1 / (1 + ((harmonics * 130 - centre) / width) ** 2) for centre, width in FORMANTS)
    voice = (weights * np.sin(harmonics * phase)).sum(axis=0)
    voice *= np.maximum(np.sin(2 * np.pi * 3 * time), 0)
    voice *= 0.5 / max(float(np.abs(voice).max(initial=0)), 1e-9)
    noisy: Signal = (voice + noise * random.standard_normal(len(time))).astype(np.float32)
    return noisy


def nsnet2_input(frames: int = 200, seed: int = 0) -> npt.NDArray[np.float32]:
    """A spectrogram of noisy speech with that many frames, float32 [1, frames, 161]."""
    return spectrogram(speech(frames * HOP / RATE, seed=seed))
