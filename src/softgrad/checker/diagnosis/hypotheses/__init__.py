"""The table of hypotheses, in order of preference where two predict the same Jacobian."""

from __future__ import annotations

from softgrad.checker.diagnosis.hypotheses.additions import (
    CENTRED,
    DECAY,
    INNER_PRODUCT,
    PLUS_IDENTITY,
)
from softgrad.checker.diagnosis.hypotheses.attention import (
    ATTENTION_DIAGONAL,
    ATTENTION_IDENTITY,
    ATTENTION_PROJECTION,
)
from softgrad.checker.diagnosis.hypotheses.axes import (
    ARRANGED,
    LAID_ELSEWHERE,
    OTHER_AXIS,
    OTHER_INPUT,
    OUTPUTS_SWAPPED,
    TRANSPOSED,
)
from softgrad.checker.diagnosis.hypotheses.base import Guess, Hypothesis
from softgrad.checker.diagnosis.hypotheses.behind import (
    BEHIND_DIAGONAL,
    BEHIND_IDENTITY,
    BEHIND_PROJECTION,
)
from softgrad.checker.diagnosis.hypotheses.cotangents import (
    IN_PART,
    MEAN_FOR_ALL,
    OUTPUT_FORGOTTEN,
    SLICE_FOR_ALL,
)
from softgrad.checker.diagnosis.hypotheses.diagonal import DIAGONAL_MISSING, DIAGONAL_ONLY
from softgrad.checker.diagnosis.hypotheses.factors import (
    DERIVATIVE,
    FACTOR,
    HALF,
    OUTPUT_FACTOR,
    RAW,
)
from softgrad.checker.diagnosis.hypotheses.leftovers import NARROW, SLICES
from softgrad.checker.diagnosis.hypotheses.losses import (
    LABELS_ALONE,
    LOSS_DIAGONAL,
    LOSS_FACTOR,
    LOSS_FUSED,
    LOSS_OTHER,
    LOSS_PROJECTION,
    LOSS_VARIABLE,
)
from softgrad.checker.diagnosis.hypotheses.norms import NORM_AXES, NORM_TERMS
from softgrad.checker.diagnosis.hypotheses.other_losses import (
    BINARY,
    BINARY_AT_P,
    BINARY_FOR_CLASSES,
    LOG_SUM_EXP,
    SQUARED_DIAGONAL,
    SQUARED_TERMS,
    SQUARED_VARIABLE,
)
from softgrad.checker.diagnosis.hypotheses.permuted import PERMUTED
from softgrad.checker.diagnosis.hypotheses.points import ANOTHER_POINT
from softgrad.checker.diagnosis.hypotheses.projection import (
    ONE_ROW,
    OTHER_MAP,
    OUTER_FACTOR,
    PROJECTION,
    ROW_SUMS,
    SIGN_OFF,
    UNMASKED,
    WRONG_AXIS,
)
from softgrad.checker.diagnosis.hypotheses.reductions import KEPT, LAST_USE, ONE_NUMBER
from softgrad.checker.diagnosis.hypotheses.second import CONSTANT, SOFTMAX_TERMS
from softgrad.checker.diagnosis.hypotheses.simple import (
    IDENTITY,
    MEAN_OF_USES,
    NEARLY_ZERO,
    SCALE,
    SIGN,
    SPREAD,
    ZERO,
)
from softgrad.checker.diagnosis.hypotheses.smoothing import OTHER_TARGETS
from softgrad.checker.diagnosis.hypotheses.sparse import (
    SPARSE_AXIS,
    SPARSE_OTHER,
    SPARSE_SUPPORT,
    SPARSE_TERM,
)
from softgrad.checker.diagnosis.hypotheses.stand_ins import (
    AXIS_FOR_S,
    DIAGONAL_ELSEWHERE,
    SLICE_FOR_S,
)
from softgrad.checker.diagnosis.hypotheses.variables import (
    AT_ANOTHER_FORM,
    AT_LOGITS,
    AT_THE_OUTPUT,
    FORMULA_OF_INPUT,
    TWICE,
)

__all__ = ["TABLE", "Guess", "Hypothesis"]

TABLE = (
    CONSTANT,
    ZERO,
    SIGN,
    IDENTITY,
    SPREAD,
    ATTENTION_IDENTITY,
    DIAGONAL_ONLY,
    ATTENTION_DIAGONAL,
    LOSS_DIAGONAL,
    SQUARED_DIAGONAL,
    KEPT,
    LAST_USE,
    OTHER_MAP,
    LOSS_VARIABLE,
    LOSS_PROJECTION,
    SQUARED_TERMS,
    SQUARED_VARIABLE,
    LABELS_ALONE,
    LOSS_FACTOR,
    LOSS_OTHER,
    LOG_SUM_EXP,
    BINARY,
    BINARY_AT_P,
    BINARY_FOR_CLASSES,
    LOSS_FUSED,
    OTHER_TARGETS,
    NORM_TERMS,
    NORM_AXES,
    SIGN_OFF,
    DIAGONAL_MISSING,
    ROW_SUMS,
    ONE_ROW,
    NEARLY_ZERO,
    SOFTMAX_TERMS,
    OUTER_FACTOR,
    UNMASKED,
    PROJECTION,
    ATTENTION_PROJECTION,
    WRONG_AXIS,
    DIAGONAL_ELSEWHERE,
    AXIS_FOR_S,
    SLICE_FOR_S,
    SPARSE_TERM,
    SPARSE_AXIS,
    SPARSE_OTHER,
    SPARSE_SUPPORT,
    TRANSPOSED,
    SLICE_FOR_ALL,
    ARRANGED,
    LAID_ELSEWHERE,
    OUTPUTS_SWAPPED,
    OTHER_INPUT,
    AT_THE_OUTPUT,
    FORMULA_OF_INPUT,
    OTHER_AXIS,
    TWICE,
    SLICES,
    OUTPUT_FORGOTTEN,
    ONE_NUMBER,
    IN_PART,
    MEAN_FOR_ALL,
    PLUS_IDENTITY,
    CENTRED,
    DECAY,
    SCALE,
    MEAN_OF_USES,
    FACTOR,
    OUTPUT_FACTOR,
    DERIVATIVE,
    HALF,
    RAW,
    BEHIND_DIAGONAL,
    BEHIND_PROJECTION,
    BEHIND_IDENTITY,
    AT_LOGITS,
    AT_ANOTHER_FORM,
    INNER_PRODUCT,
    ANOTHER_POINT,
    PERMUTED,
    NARROW,
)
