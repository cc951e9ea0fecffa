"""The aims on CPUs: which models each one counts, and what is excused as noise."""

from typing import Any

from chrion_bench.aims import Aim, aims
from chrion_bench.contenders import CONTROL, DEFAULT
from chrion_bench.measure import PLAN


def result(model: str, family: str, gain: float, control: float = 1.0) -> dict[str, Any]:
    contenders = {DEFAULT: {"gain": 1.0}, CONTROL: {"gain": control}, PLAN: {"gain": gain}}
    return {"model": model, "family": family, "contenders": contenders}


def reached(*results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Values and verdicts by the aims' first words."""
    return {aim.text.partition(":")[0]: (aim.value, aim.verdict) for aim in aims(results)}


def least(*results: dict[str, Any]) -> Aim:
    return aims(results)[-1]


def test_each_aim_counts_its_own_models() -> None:
    found = reached(
        result("lstm-forward-l1-h64-s32-b1", "lstm-forward", 1.0),
        result("lstm-bidirectional-l1-h64-s32-b8", "lstm-bidirectional", 4.0),
        result("gru-forward-l1-h64-s32-b1", "gru-forward", 2.0),
        result("rnn-forward-l1-h64-s32-b1-lengths-states", "rnn-forward", 4.0),
        result("crnn-c16-h48-w320-b1", "crnn", 2.0),
        result("unrolled-lstm-l4-h64-s32-b1-gemm-split", "unrolled", 4.4),
        result("nsnet2-f50", "real", 1.3),
        result("silero_vad", "real", 1.1),
    )
    assert found["LSTM layers"] == ("×2.00", "pass")
    assert found["GRU layers"] == ("×2.00", "miss")
    assert found["RNN layers"] == ("×4.00", "pass")
    assert found["all whole layers"] == ("×2.30", "pass"), "neither real models nor unrolled ones"
    assert found["LSTM and GRU layers at batch 1"] == ("×1.41", "miss")
    assert found["unrolled cells"] == ("×4.40", "miss")
    assert found["NSNet2 at 50 frames"] == ("×1.30", "pass")
    assert found["NSNet2 at 200 frames"] == ("-", "not measured")
    assert found["Silero"] == ("×1.10", "miss")


def test_a_slow_model_is_excused_by_its_own_control() -> None:
    assert least(result("a", "real", 0.95)).verdict == "miss"
    assert least(result("a", "real", 0.95, control=0.94)).verdict == "pass"
    assert least(result("a", "real", 0.95, control=1.08)).verdict == "pass", "noise goes both ways"
    found = least(result("a", "real", 0.95, control=0.94), result("b", "real", 0.9), result("c", "real", 1.2))
    assert (found.value, found.verdict) == ("1 of 3, 1 more excused; the least ×0.90", "miss")


def test_nothing_measured() -> None:
    assert {aim.verdict for aim in aims([])} == {"not measured"}
