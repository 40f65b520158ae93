# %% [markdown]
# # A first model, looked at from all sides
#
# The data before anything is paid for, a run, what it learned, and two runs side by side. Open this file as a notebook
# (`jupytext --to ipynb first_model.py`, or as it is in VS Code), or run it: `python first_model.py`.

# %%
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp

import lmkit

MINUTES = 1.0
folder = Path(mkdtemp())
book = str(files("lmkit") / "demo" / "robin_hood.md")
recipe = folder / "run.toml"
recipe.write_text(f"""
[tokenizer]
use = "bpe"
vocab_size = 3000
[data]
train = ["{book}"]
document = "paragraph"
validation = 0.02
[encoder]
use = "qwen3"
layers = 2
width = 128
[objective]
use = "hybrid"
[train]
minutes = {MINUTES}
block_tokens = 64
batch_tokens = 2048
""")

# %% [markdown]
# ## What the model will see
#
# Coloured is what it has to predict; hover over it to see what is wanted there.

# %%
data = lmkit.inspect_data(recipe, examples=2)
data

# %% [markdown]
# ## What it will cost

# %%
costs = lmkit.check(recipe)
{name: costs[name] for name in ("parameters", "tokens_per_second", "minutes", "peak_memory_bytes", "advice")}

# %% [markdown]
# ## Train
#
# The hybrid objective (Charpentier and Samuel 2024) teaches one network both to fill gaps and to go on.

# %%
losses = []


def note(event):
    if type(event).__name__ == "Stepped":
        losses.append(event.loss)


run = lmkit.pretrain(recipe, run=folder / "hybrid", observers=[note])
run

# %%
print(f"{len(losses)} steps, from {losses[0]:.2f} to {losses[-1]:.2f}")

# %% [markdown]
# ## Ask it, both ways

# %%
print(run.complete("Then Robin", max_new_tokens=20, temperature=0.7)["text"])
print(run.fill("Robin drew his <|mask|>.", top_k=3)["masks"])

# %% [markdown]
# ## Another one beside it

# %%
lmkit.pretrain(recipe, run=folder / "causal", overrides=["objective.use=clm"], quiet=True)
lmkit.compare([folder / "hybrid", folder / "causal"])

# %%
print(lmkit.write_report(folder / "hybrid"))
