"""Models that see: where text is, which way up it is, what it says, and what a picture shows."""

from chrion_models.catalogue.model import PublishedModel
from chrion_models.packages import Package

RAPID_OCR = Package("rapidocr-onnxruntime", "1.4.4", "Apache-2.0")
DDDD_OCR = Package("ddddocr", "1.6.1", "MIT")
ONNX = Package("onnx", "1.23.2", "Apache-2.0")

MODELS = (
    PublishedModel(
        "ppocr_v4_det.onnx",
        RAPID_OCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        kind="OCR: detection",
        traits="Paddle2ONNX; ConvTranspose, weights as Constant",
        inputs={"x": (1, 3, 320, 320)},
    ),
    PublishedModel(
        "ppocr_v4_rec.onnx",
        RAPID_OCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        kind="OCR: recognition",
        traits="Paddle2ONNX; weights as Constant",
        inputs={"x": (1, 3, 48, 320)},
    ),
    PublishedModel(
        "ppocr_v2_cls.onnx",
        RAPID_OCR,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        kind="OCR: classification",
        traits="Paddle2ONNX; axes declared as -1",
        inputs={"x": (1, 3, 48, 192)},
    ),
    PublishedModel(
        "ddddocr_common.onnx",
        DDDD_OCR,
        "ddddocr/common.onnx",
        "33b5cd351ee94e73a6bf8fa18c415ed8b819b3ffd342e267c30d8ad8334e34e8",
        kind="OCR: recognition",
        traits="PyTorch 1.9; LSTM, an output of another rank than declared",
        inputs={"input1": (1, 1, 64, 160)},
    ),
    PublishedModel(
        "ddddocr_common_int8.onnx",
        DDDD_OCR,
        "ddddocr/common_old.onnx",
        "b8f2ad9cbc1f2e3922a6cb9459e30824e7e2467f3fb4fd61420640e34ea0bf68",
        kind="OCR: recognition",
        traits="ONNX Runtime's quantiser; int8, ConvInteger, DynamicQuantizeLSTM",
        inputs={"input1": (1, 1, 64, 160)},
    ),
    PublishedModel(
        "ddddocr_det.onnx",
        DDDD_OCR,
        "ddddocr/common_det.onnx",
        "6faa8ea85a8c1a634e5050c4a138fca10f30194e0d7abbe9ade1fcd423af6ed6",
        kind="OCR: detection",
        traits="PyTorch 1.9; YOLOX",
    ),
    PublishedModel(
        "shufflenet.onnx",
        ONNX,
        "onnx/backend/test/data/light/light_shufflenet.onnx",
        "c6f406d62be36d6b4572542c0950a2abd59f56237068793290680bba89fbafe5",
        kind="image classification",
        traits="Caffe2; IR version 3, constants listed as inputs, weights by ConstantOfShape",
    ),
)
