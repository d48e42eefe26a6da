"""Which programme 200 students of the High School and Beyond survey are in, by home and writing.

    python examples/hsb.py

The survey is one of the U.S. National Center for Education Statistics; the three columns are those
of the data set `hsb` in the Python package faraway 0.0.6 (Julian Faraway, MIT licence). `ses` is
the social and economic status of the home, `write` the score in writing, `prog` the programme.
UCLA's pages on multinomial regression fit the same students: a deviance of 359.9634524.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

import softgrad as sg


def students() -> tuple[pa.Table, np.ndarray]:
    """Return the columns with their names, a low status being the base, and the programmes."""
    table = csv.read_csv(Path(__file__).with_name("hsb.csv"))
    status = table["ses"].to_numpy()
    columns = {level: (status == level).astype(float) for level in ("middle", "high")}
    return pa.table({**columns, "write": table["write"]}), table["prog"].to_numpy()


if __name__ == "__main__":
    X, programme = students()
    model = sg.SoftmaxClassifier(C=np.inf).fit(X, programme)
    summary = model.summary(X, programme, reference="academic")
    print(summary)
    print(f"deviance {-2 * summary.log_likelihood:.7f}")
