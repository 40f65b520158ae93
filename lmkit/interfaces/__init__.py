"""The four nouns: all that a plugin author has to read.

Tokenizer   text <-> ids, with offsets
Encoder     packed ids -> hidden states; has no head
Objective   examples -> batches; builds its head; SUMS its loss
Task        rows of a data set -> examples, hidden states -> answers
"""

from lmkit.interfaces.encoder import Encoder, HeadStyle, Renamed
from lmkit.interfaces.format import Format, History, Imported, Trained, Workshop
from lmkit.interfaces.objective import Objective
from lmkit.interfaces.task import Task
from lmkit.interfaces.tokenizer import Encoding, Tokenizer, Vocabulary, Wrapped

__all__ = [
    "Encoder",
    "Encoding",
    "Format",
    "HeadStyle",
    "History",
    "Imported",
    "Objective",
    "Renamed",
    "Task",
    "Tokenizer",
    "Trained",
    "Vocabulary",
    "Workshop",
    "Wrapped",
]
