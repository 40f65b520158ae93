"""What this distribution adds to lmkit: names and import paths; a reporter is imported when a run is trained."""

from lmkit import hookimpl


@hookimpl
def lmkit_reporters() -> dict[str, str]:
    return {
        "csv": "lmkit_reporters.tables:Csv",
        "tensorboard": "lmkit_reporters.services:TensorBoard",
        "wandb": "lmkit_reporters.services:WeightsAndBiases",
        "mlflow": "lmkit_reporters.services:MlFlow",
        "trackio": "lmkit_reporters.services:Trackio",
    }
