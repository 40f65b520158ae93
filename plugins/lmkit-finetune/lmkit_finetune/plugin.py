"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_tasks() -> dict[str, str]:
    return {
        "classification": "lmkit_finetune.classification:Classification",
        "embedding": "lmkit_finetune.embedding:Embedding",
        "multiple-choice": "lmkit_finetune.multiple_choice:MultipleChoice",
        "question-answering": "lmkit_finetune.question_answering:QuestionAnswering",
        "regression": "lmkit_finetune.regression:Regression",
        "token-classification": "lmkit_finetune.token_classification:TokenClassification",
    }
