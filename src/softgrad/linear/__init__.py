"""Linear maps: Jacobians and Hessians as objects that are applied, not matrices that are built."""

from softgrad.linear.algebra import (
    Composed,
    Deferred,
    Identity,
    OnAxis,
    Outer,
    Scaled,
    Sum,
    Transposed,
)
from softgrad.linear.base import AbstractJacobian, AbstractLinearMap
from softgrad.linear.jacobians import (
    Diagonal,
    DiagonalMinusOuter,
    IdentityMinusOuter,
    InnerProduct,
    InputScaled,
)

__all__ = [
    "AbstractJacobian",
    "AbstractLinearMap",
    "Composed",
    "Deferred",
    "Diagonal",
    "DiagonalMinusOuter",
    "Identity",
    "IdentityMinusOuter",
    "InnerProduct",
    "InputScaled",
    "OnAxis",
    "Outer",
    "Scaled",
    "Sum",
    "Transposed",
]
