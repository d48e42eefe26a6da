"""`SoftmaxClassifier`: a linear layer or a network, trained with softmax and cross-entropy."""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from softgrad.arrays import Array
from softgrad.errors import MissingExtraError, mismatch
from softgrad.learn.as_it_was import as_it_was
from softgrad.learn.checkpoint import digest, locked
from softgrad.learn.coefficients import Coefficients
from softgrad.learn.fits import diverged, fit, objective_of
from softgrad.learn.minibatch import Model
from softgrad.learn.objective import Objective
from softgrad.learn.options import Options, takes_parts
from softgrad.learn.partial import Stream, classes_after, train_on_part
from softgrad.learn.predictor import Predictor
from softgrad.learn.progress import Callback
from softgrad.learn.rows import checked_examples
from softgrad.learn.statistics import SeparationWarning
from softgrad.learn.statistics.inference import Inference
from softgrad.learn.team import team_of
from softgrad.learn.training_set import ClassWeight, TrainingSet, weighed
from softgrad.nn.mlp import AnyActivation

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtraError("scikit-learn", "learn") from error

__all__ = ["SoftmaxClassifier"]

_ASTRAY = 1000.0
"""Times the loss of coefficients of 0 that a part may have: rows of a new kind have a high one."""


class SoftmaxClassifier(Predictor, Inference, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression that reaches the optimum, or a network in front of softmax.

    A number that a solver has no use for, it leaves alone: `tol` belongs to "newton", "newton-cg",
    "lbfgs" and `polish`; `batch_size` and what follows it to mini-batches. What is asked for and
    cannot be done is an error: hidden layers, early stopping or a `polish` where the solver takes
    no mini-batches, and a `polish` of hidden layers or after early stopping.

    Parameters
    ----------
    hidden : tuple of int, ()
        The width of each hidden layer.
    activation : str, map, or tuple of them, "relu"
        Behind each hidden layer, or one for all: "relu", "tanh", "sigmoid", "softmax",
        "log_softmax", "sparsemax", "entmax15", or a map such as ``softgrad.Entmax(alpha=1.3)``.
    C : float, 1
        Inverse strength of the L2 penalty, as in LogisticRegression: the minimum is that of
        mean cross-entropy + ‖W‖²/(2·C·n), with n the sum of all weights. The intercept is free, and
        W all matrices where there are hidden layers. Infinity is no penalty, and then there may be
        no minimum: where a direction separates the classes, `fit` says so by a SeparationWarning,
        and convex solvers stop once every row is right.
    standardize : bool, False
        Whether columns are seen minus their mean and in units of their standard deviation, as the
        rows' weights have them; a constant one stays, and a sparse matrix keeps its zeros. The
        penalty is then that of coefficients for such units, as in glmnet. The attributes are for
        columns as they came, all the same.
    tol : float, 1e-8
        How far the objective may be above its minimum, relative to itself. Solvers stop by their
        estimate of it, which no unit of a column changes.
    solver : {"auto", "newton", "newton-cg", "lbfgs", "adam", "sgd"}
        "newton" builds the whole Hessian, "newton-cg" a block for each class, "lbfgs" one matrix
        for all classes; all three reach the optimum. "adam" and "sgd" take mini-batches, and end
        with their last epoch. "auto" looks at the size of the problem: mini-batches are for hidden
        layers, and for X and classes of which one pass takes 1e11 multiplications; how far these
        are from the optimum it then says by a ConvergenceWarning.
    max_iter : int, optional
        Steps of the solver, 1000; what stops short of the optimum says so by a ConvergenceWarning.
        Of mini-batches the epochs: as many as make 2000 steps, but from 10 to 200; a `polish` has
        1000 steps of its own.
    class_weight : dict or "balanced", optional
        Weights by label, 1 for labels that are not there; or such that all classes weigh the same.
    warm_start : bool, False
        Whether `fit` starts from the coefficients that there are.
    batch_size : int, optional
        Rows of a mini-batch: a 32nd of all, but from 64 to 1024.
    learning_rate : float, optional
        Of the first epoch: 0.01; for columns of about unit size, such as `standardize` makes.
    momentum : float, 0.9
        Of "sgd".
    schedule : {"linear", "constant"}
        "linear" lets the learning rate fall by the same in every epoch, to be 0 after the last;
        `partial_fit`, which knows no last epoch, keeps it.
    early_stopping : bool, False
        Whether to hold rows out, of every class its share, to end when their mean cross-entropy
        was not better for `n_iter_no_change` epochs, and to go back to the best coefficients.
    validation_fraction : float, 0.1
        The share of the rows that is held out.
    n_iter_no_change : int, 10
        Epochs to wait for a better one.
    polish : bool, False
        Whether "lbfgs" goes on from where mini-batches end, to `tol`; where "auto" takes none,
        there is nothing to polish.
    callbacks : callable or list of them, optional
        Called with every record of `history_` when it is made; the fit ends if one returns True.
        Convex solvers, `polish` among them, tell of steps, and mini-batches of epochs.
    verbose : bool or int, False
        Whether `fit` shows a progress bar, on stderr.
    random_state : int, Generator, RandomState, optional
        Of hidden layers, of the order of rows, and of those held out.
    checkpoint : path, optional
        A file that `fit` writes as it goes, begins with if it is there, and removes at its end. A
        fit that was killed goes on from it and ends with the same bits. That of another model or
        other data is refused, and so is one that another fit is about to write.
    checkpoint_every : float, 60
        Seconds between two checkpoints; 0 writes one after every step.
    cache : path, optional
        The folder of a temporary file for the rows of tables and streams, all of them, as long as
        `fit` runs; by default the system's for temporary files. On some systems that one is in
        memory, and a folder on a disk is wanted.

    group : process group or DeviceMesh, optional
        The processes of torch.distributed that train together: each calls `fit` with rows of its
        own, and all get the model of all rows, to the bit. A path is the same file for all, of
        which each reads a share. Rows are in the order of the ranks, and a rank may have none.
        `partial_fit`, `summary`, `likelihood_ratio` and `calibrate` are called together as well;
        what predicts or scores is not. It takes no part in a copy of the model by pickle.

    Attributes
    ----------
    classes_ : array [K]
        The labels, sorted.
    coef_ : array [K, D], or [1, D] for two classes
        In the dtype of X, float32 or float64; the sum over K classes is 0. Only without hidden
        layers.
    intercept_ : array [K], or [1]
    coefs_, intercepts_ : lists of arrays [inputs, outputs] and [outputs]
        Of all layers, as in MLPClassifier; only with hidden layers. Two classes have one output.
    activations_ : tuple of maps
        Behind the hidden layers.
    n_iter_ : int
        Steps of the solver, or epochs and steps of the polish; calls of `partial_fit`.
    solver_ : str
        Which it was.
    objective_ : float
        The value that was reached, on the rows that were trained on; NaN after `partial_fit`.
    optimality_ : float
        What `objective_` is above the minimum at most: a duality gap, certain but for rounding.
        Infinite without a penalty, with hidden layers, and after `partial_fit`.
    history_ : list of Step or TrainingEpoch
        Of a convex solver its steps (`number`, `objective`, `gap`); of mini-batches the epochs
        (`number`, `loss`, `validation_loss`, `learning_rate`), and behind them the steps of a
        `polish`, which count from 1 again. `partial_fit` adds an epoch.
    separation_ : Separation, or None
        The direction in which coefficients grow without bound, if there is no penalty and one was
        found. Of (K − 1)(D + 1) > 1000 coefficients, only complete separation is looked for.
    temperature_ : float
        What logits are divided by, once `calibrate` was called.
    covariance_ : array
        Of ``coef_`` with ``intercept_`` as last column, row after row, once `summary` was called.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Examples
    --------
    >>> import softgrad as sg
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = sg.SoftmaxClassifier().fit(X, y)
    >>> round(model.objective_, 12), model.optimality_ < 1e-10
    (0.192575444027, True)
    >>> model.score(X, y)
    0.9733333333333334
    >>> network = sg.SoftmaxClassifier(hidden=(16,), activation="tanh", random_state=0)
    >>> network.fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (),
        activation: AnyActivation = "relu",
        C: float = 1.0,
        standardize: bool = False,
        tol: float = 1e-8,
        solver: str = "auto",
        max_iter: int | None = None,
        class_weight: ClassWeight = None,
        warm_start: bool = False,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        momentum: float = 0.9,
        schedule: str = "linear",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        polish: bool = False,
        callbacks: Callback | list[Callback] | None = None,
        verbose: bool | int = False,
        random_state: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        cache: str | os.PathLike[str] | None = None,
        group: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.C = C
        self.standardize = standardize
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.polish = polish
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.cache = cache
        self.group = group

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SoftmaxClassifier:
        """Train on rows X and labels y. Whatever ends it early, Ctrl-C too, changes nothing here.

        Parameters
        ----------
        X : array, data frame or sparse matrix [N, D], path, or blocks
            Finite numbers; float32 stays float32, a sparse matrix sparse. Of what need not fit into
            memory, some blocks of rows are there at a time: an np.memmap, the path of a Parquet or
            CSV file, or a list or an iterator of blocks, or a function that returns one. A block is
            a pair (X, y), a triple (X, y, weights), a record batch or a data frame. All are read
            once. The other methods take the same.
        y : array [N], or str
            Labels: integers, text or booleans, of at least two classes. For tables, the name of
            their column; None where the blocks are pairs.
        sample_weight : array [N], optional, or str
            Not negative. A weight of 0 is the same as leaving the row out. For tables, the name of
            a column; None where the blocks bring them.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            An argument or a setting does not fit; the message has its name.
        UsageError
            A file cannot be read, a cell is no number, a checkpoint is damaged or a disk full: one
            line says where. Or mini-batches met a loss that is not finite: the learning rate is too
            large.

        Warns
        -----
        ConvergenceWarning
            A convex solver stopped short of the optimum, or mini-batches that "auto" took did; or
            mini-batches diverged, and their loss is above that of coefficients of 0.
        SeparationWarning
            Without a penalty there is no optimum, since a direction separates the classes.
        """
        team = team_of(self.group)
        with as_it_was(self), team.uninterrupted(), ExitStack() as held:
            with team.called("fit"):
                options = self._options
                if team.leads:
                    held.enter_context(locked(options.checkpoint))
                before = self._before() if options.warm_start else None
            examples = self._together(X, y, sample_weight, options, before, reset=True)
            rows = weighed(examples, options.class_weight)
            start = None
            if before is not None:
                settings = rows.X.shape[1], rows.classes, options.hidden, options.activations
                before.check("warm_start", "False, or data with", *settings)
                start = before.model(rows.X.dtype)
            found = fit(rows, options, start)
            self._forget()
            self.separation_ = self._separation(found, rows.classes)
            self._keep(rows.classes, found.model, rows.X.dtype)
            self.solver_, self.n_iter_ = found.solver, found.iterations
            self.objective_, self.optimality_ = found.value, found.bound
            self.history_ = list(found.history)
            self._stream = Stream(
                rows=team.share(len(rows.y)).N,
                weight=rows.total,
                solver=found.solver,
                moments=dict(found.moments),
            )
            if self.separation_ is not None and team.leads:
                warnings.warn(self.separation_.warning, SeparationWarning, stacklevel=2)
            elif found.complaint and team.leads:
                warnings.warn(found.complaint, ConvergenceWarning, stacklevel=2)
            if found.checkpoint is not None:
                found.checkpoint.remove()
        return self

    @available_if(takes_parts)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> SoftmaxClassifier:
        """Go once through some more rows, a mini-batch at a time, at a constant learning rate.

        It goes on from `fit` or from where the last call ended, with moments of the same solver,
        unless early stopping went back to an earlier epoch, or a convex solver came after it. The
        penalty is that of all rows so far: ‖W‖²/(2·C·n), with n the sum of their weights. Whatever
        ends a call early, Ctrl-C too, leaves the estimator as it was before the call. Convex
        solvers, `early_stopping`, `polish` and `standardize` need all rows at once: with them there
        is no `partial_fit`.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array, optional
            All labels that may come; another one is then an error. Without it the first call needs
            two classes, and new ones may come with any call: their coefficients start at 0, as do
            their moments.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError, UsageError
            As in `fit`; and `class_weight` is "balanced", which needs all rows at once.
        """
        team = team_of(self.group)
        with as_it_was(self), team.uninterrupted():
            with team.called("partial_fit", classes=classes):
                options = self._options
                options.check_partial()
                before = self._before()
            new = before is None
            part = self._together(X, y, sample_weight, options, before, reset=new, part=True)
            stream, known, start = Stream(), None, None
            if before is not None:
                stream, known, start = self._stream, before.classes, before.model()
                settings = part.X.shape[1], known, options.hidden, options.activations
                before.check("hidden", "that of", *settings)
            stream = replace(stream, closed=stream.closed or classes is not None)

            def all_classes(found: Array) -> Array:
                return classes_after(known, classes, found, stream.closed)

            rows = weighed(part, options.class_weight, all_classes)
            model, self._stream, epoch = train_on_part(rows, options, known, start, stream)
            complaint = diverged([epoch], len(rows.classes), _ASTRAY)
            for callback in options.callbacks:
                callback(epoch)
            self._forget()
            self.separation_ = None
            self._keep(rows.classes, model, model.W.dtype)
            self.history_ = [*getattr(self, "history_", []), epoch]
            self.solver_ = options.by_batches
            self.n_iter_, self.objective_, self.optimality_ = epoch.number, np.nan, np.inf
            if complaint and team.leads:
                warnings.warn(complaint, ConvergenceWarning, stacklevel=2)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _examples(self, X: Any, y: Any, sample_weight: Any) -> TrainingSet:
        """Return labelled rows of the columns of the fit."""
        with team_of(self.group).together():
            check_is_fitted(self)
            options, before = self._options, self._before()
        return self._together(X, y, sample_weight, options, before, reset=False)

    def _together(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        options: Options,
        before: Coefficients | None,
        **how: bool,
    ) -> TrainingSet:
        """Return labelled rows, where all processes are called alike."""
        team = team_of(self.group)
        if team.size > 1:
            parameters = {} if before is None else before.model().parameters
            call = {
                **options.deciding,
                "X": str(X) if isinstance(X, (str, os.PathLike)) else "rows of its own",
                "y": repr(y) if isinstance(y, str) else "labels",
                "coef_": " ".join(map(digest, parameters.values())) or "none",
            }
            team.agree(call)
        return checked_examples(self, X, y, sample_weight, team=team, **how)

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy, which trains with the same processes: they have no copies."""
        group, self.group = self.group, None
        try:
            copy = super().__sklearn_clone__()
        finally:
            self.group = group
        copy.group = group
        return copy

    def __getstate__(self) -> Any:
        return {**super().__getstate__(), "group": None}

    def _problem(self, X: Any, y: Any, sample_weight: Any) -> tuple[TrainingSet, Objective]:
        """Return the rows of `fit`, given again, and what it minimised without hidden layers."""
        with team_of(self.group).together():
            check_is_fitted(self)
            if hasattr(self, "coefs_"):
                expected = "() where coefficients are judged"
                raise ValueError(mismatch("hidden", expected, self.hidden))
        rows = weighed(self._examples(X, y, sample_weight), self.class_weight)
        if not np.array_equal(rows.classes, self.classes_):
            expected = f"of the classes of the fit, {self.classes_.tolist()}"
            raise ValueError(mismatch("y", expected, rows.classes.tolist()))
        return rows, objective_of(rows, float(self.C), self.standardize)

    @property
    def _options(self) -> Options:
        return Options.checked(self.get_params(deep=False))

    @property
    def _coefficients(self) -> Coefficients:
        if hasattr(self, "coefs_"):
            return Coefficients(self.classes_, self.coefs_, self.intercepts_, self.activations_)
        return Coefficients(self.classes_, [self.coef_.T], [self.intercept_], ())

    def _before(self) -> Coefficients | None:
        """Return what there is to go on from."""
        return self._coefficients if hasattr(self, "classes_") else None

    def _keep(self, classes: Array, model: Model, dtype: Any) -> None:
        """Take over what was trained, and leave nothing of a model of the other kind."""
        found = Coefficients.of(classes, model, dtype)
        for name in ("coef_", "intercept_", "coefs_", "intercepts_", "activations_"):
            if hasattr(self, name):
                delattr(self, name)
        self.classes_ = classes
        if model.hidden:
            self.coefs_, self.intercepts_ = list(found.matrices), list(found.intercepts)
            self.activations_ = tuple(found.activations)
        else:
            self.coef_, self.intercept_ = found.matrices[0].T, found.intercepts[0]
