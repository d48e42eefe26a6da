"""American voters of 1996: which party they lean to, by age, education, income and place.

    python examples/anes96.py

The data are 944 interviews of the American National Election Study of 1996, in the public domain.
PID runs from 0, a strong Democrat, to 6, a strong Republican; popul is the place's population in
thousands, selfLR where one sees oneself from left (1) to right (7). Fitted without a penalty, as
econometricians do, the log-likelihood is −1461.922747.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

import softgrad as sg

COLUMNS = ["logpopul", "selfLR", "age", "educ", "income"]


def voters() -> tuple[pa.Table, np.ndarray]:
    """Return the columns with their names, and the party of every voter."""
    table = csv.read_csv(Path(__file__).with_name("anes96.csv"))
    logpopul = np.log(table["popul"].to_numpy() + 0.1)
    table = table.append_column("logpopul", pa.array(logpopul))
    return table.select(COLUMNS), table["PID"].to_numpy()


if __name__ == "__main__":
    X, party = voters()
    model = sg.SoftmaxClassifier(C=np.inf).fit(X, party)
    print(model.summary(X, party, reference=0))
    print(model.likelihood_ratio(X, party, columns="age"))
