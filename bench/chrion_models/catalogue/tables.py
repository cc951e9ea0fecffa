"""Models of tables and time series: trees, linear models, small networks over rows."""

from chrion_models.catalogue.model import PublishedModel
from chrion_models.packages import Package

SURROGATES = Package("surfaces-surrogates", "0.0.1", "MIT")
DETECTORS = Package("atspm-detector", "1.1.0", "MIT")
ONNX_RUNTIME = Package("onnxruntime", "1.31.1", "MIT")

MODELS = (
    PublishedModel(
        "surrogate_mlp.onnx",
        SURROGATES,
        "surfaces_surrogates/models/decision_tree_classifier.onnx",
        "312e647df9facefdf6b9621d270da6221f00f07c5f703ae216cf5a724abf7a5f",
        kind="regression",
        traits="scikit-learn, skl2onnx; Scaler",
        inputs={"input": (16, 6)},
    ),
    PublishedModel(
        "surrogate_validity.onnx",
        SURROGATES,
        "surfaces_surrogates/models/k_neighbors_classifier.validity.onnx",
        "f2201862fa79d2970b674c04df4e71a07f27736c0a40220e79bdd121fc1430f4",
        kind="classification",
        traits="scikit-learn, skl2onnx; TreeEnsembleClassifier, int64 labels, an opset twice",
        inputs={"input": (16, 4)},
    ),
    PublishedModel(
        "logreg_iris.onnx",
        ONNX_RUNTIME,
        "onnxruntime/datasets/logreg_iris.onnx",
        "8224784c98d73412d9fd99abcd57a38568bd590980d0fbe5916464531c52e8fc",
        kind="classification",
        traits="scikit-learn, OnnxMLTools; a sequence of maps as output",
        refused="of a scikit-learn classifier, export with zipmap=False",
    ),
    PublishedModel(
        "detector_function.onnx",
        DETECTORS,
        "atspm_detector/weights/function/function229_s0.onnx",
        "50864dedeb8c61f80ccbad3af4a56de4f86836a6a4dcf8aa96d90d7bce624420",
        kind="traffic detectors: trees",
        traits="no exporter named; TreeEnsemble of float64",
        inputs={"X": (32, 229)},
    ),
    PublishedModel(
        "detector_pair.onnx",
        DETECTORS,
        "atspm_detector/weights/funcnet/x100_w32full_pair.onnx",
        "96474d83d132eef79834ae9b94fca2aaf4cae2560210cc26d1f0a6554bee5988",
        kind="traffic detectors: time series",
        traits="PyTorch 2.14; Conv over time, GELU by Erf",
        inputs={"x": (4, 15, 600)},
    ),
    PublishedModel(
        "detector_head.onnx",
        DETECTORS,
        "atspm_detector/weights/funcnet/x100_w32full_head.onnx",
        "1439ec8055bd940c93c6c4c1f1d9e73648902f7cbfa007b205b6659a455eb8d9",
        kind="traffic detectors: decision",
        traits="PyTorch 2.14; axes that share symbols",
        inputs={"logit": (8, 12), "Z": (8, 12, 128), "act": (8,)},
    ),
)
