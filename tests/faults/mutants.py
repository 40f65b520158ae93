"""Ways to break what keeps runs whole, each with the tests that have to notice."""

from __future__ import annotations

import attrs


@attrs.frozen
class Mutant:
    """One change of the product that makes it worse."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    """Paths and options of pytest."""


_SAVE, _LOAD = "lmkit/checkpoint/save.py", "lmkit/checkpoint/load.py"
_POWER = "tests/faults/test_power_loss.py"
_DAMAGE = "tests/checkpoint/test_damage.py"

MUTANTS = [
    Mutant(
        "files are not forced to the disk",
        _SAVE,
        "    for name in [*names, *folders]:\n        _sync(folder / name)\n",
        "",
        _POWER,
    ),
    Mutant("the manifest is not forced to the disk", _SAVE, "            _sync(temporary / MANIFEST)\n", "", _POWER),
    Mutant("the new folder's names are not", _SAVE, "            _sync(temporary)\n", "", _POWER),
    Mutant(
        "files of tensors are not", _SAVE, "        _sync(folder / name)\n        written[", "        written[", _POWER
    ),
    Mutant("the rename is not", _SAVE, "            _sync(place)\n        return", "        return", _POWER),
    Mutant(
        "the new checkpoint is written where it will be seen",
        _SAVE,
        'place / f".tmp-{final.name}-{os.getpid()}-{secrets.token_hex(4)}"\n    temporary.mkdir()',
        "final\n    temporary.mkdir()",
        "tests/faults/test_kill_in_save.py",
    ),
    Mutant(
        "the first does not wait for the others' files",
        _SAVE,
        "        written = _each(peers, final, write)\n",
        "        written = [write()]\n",
        "tests/checkpoint/test_shards.py",
    ),
    Mutant(
        "older ones are deleted first",
        _SAVE,
        "            os.rename(temporary, final)\n",
        "            shutil.rmtree(place / 'step-00000002', ignore_errors=True)\n"
        "            shutil.rmtree(place / 'step-00000001', ignore_errors=True)\n"
        "            os.rename(temporary, final)\n",
        "tests/faults/test_kill_in_save.py tests/checkpoint/test_save.py",
    ),
    Mutant(
        "a hash is not compared",
        _LOAD,
        "        elif hashed and File.of(path / name) != wanted:",
        "        elif False:",
        _DAMAGE,
    ),
    Mutant("a size is not", _LOAD, ".st_size) != wanted.size:", ".st_size) < 0:", _DAMAGE),
    Mutant(
        "files beyond the manifest are let in",
        _LOAD,
        "for name in sorted(there - manifest.files.keys()))",
        "for name in ())",
        _DAMAGE,
    ),
    Mutant("links are followed", _LOAD, "if path.is_symlink() or not path.is_dir():", "if not path.is_dir():", _DAMAGE),
    Mutant("a damaged checkpoint is not passed over", _LOAD, "            continue\n", "            raise\n", _DAMAGE),
    Mutant(
        "the newest is told by the clock",
        _LOAD,
        "return sorted(folders, key=lambda path: step_of(path.name) or 0)",
        "return sorted(folders, key=lambda path: path.stat().st_mtime)",
        "tests/checkpoint/test_save.py",
    ),
    Mutant(
        "the manifest's own hash is not compared",
        "lmkit/checkpoint/manifest.py",
        "whole = manifest.format == FORMAT and manifest.to_bytes() == data",
        "whole = manifest.format == FORMAT",
        _DAMAGE,
    ),
    Mutant(
        "the lock does not lock",
        "lmkit/checkpoint/lock.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        "tests/checkpoint/test_lock.py",
    ),
    Mutant(
        "a newer state is read as if it were known",
        "lmkit/checkpoint/provenance.py",
        'if record["state_version"] > reads:',
        "if False:",
        "tests/checkpoint/test_provenance.py",
    ),
    Mutant(
        "the optimizer starts anew at a resume",
        "lmkit/engine/loop.py",
        '        self.optimizer.load(tensors["optimizer"])\n',
        "",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "dropout draws from where the process happens to be",
        "lmkit/engine/step.py",
        "    torch.manual_seed(int(",
        "    len(str(",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "the place in the data is not kept",
        "lmkit/engine/loop.py",
        "self.state = attrs.evolve(state, choices=self.choices)",
        "self.state = attrs.evolve(state, choices=self.choices, position=0)",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "a bad step is applied",
        "lmkit/engine/loop.py",
        "        if bad is None:\n            self.optimizer",
        "        if True:\n            self.optimizer",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "a number that is none passes",
        "lmkit/engine/alarms.py",
        "if not math.isfinite(loss):",
        "if False:",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "micro-batches are averaged, not summed",
        "lmkit/engine/step.py",
        "counts = processes.sum({term: sum(b.counts[term] for b in batches) for term in weights})",
        "counts = {term: len(batches) * batches[0].counts[term] for term in weights}",
        "tests/engine/test_loop.py",
    ),
    Mutant(
        "processes do not add up their counts",
        "lmkit/engine/step.py",
        "counts = processes.sum({term: sum(b.counts[term] for b in batches) for term in weights})",
        "counts = {term: sum(b.counts[term] for b in batches) for term in weights}",
        "tests/run/test_processes.py -k two_processes_come",
    ),
    Mutant(
        "gradients are not added up over processes",
        "lmkit/engine/step.py",
        "with syncing(number == len(batches) - 1):",
        "with syncing(False):",
        "tests/run/test_processes.py -k two_processes_come",
    ),
    Mutant(
        "changed data is trained on",
        "lmkit/run/resume.py",
        "    if changed:\n",
        "    if False:\n",
        "tests/run/test_resume.py -k changed_text",
    ),
    Mutant(
        "a store is not looked at",
        "lmkit/data/store.py",
        "    if verified:\n",
        "    if False:\n",
        "tests/faults/test_stores.py",
    ),
    Mutant(
        "a signal is not heard",
        "lmkit/engine/signals.py",
        "        self.signal = signal.Signals(number).name\n",
        "        pass\n",
        "tests/engine/test_loop.py -k signal --timeout 30",
    ),
    Mutant(
        "the line that a kill tore is gone on with",
        "lmkit/report/metrics.py",
        '                if file.read() != b"\\n":',
        "                if False:",
        "tests/report/test_metrics.py",
    ),
    Mutant(
        "what an edited state says is believed",
        "lmkit/run/recorded.py",
        "    place = checkpoint.path / STATE\n",
        "    return\n    place = checkpoint.path / STATE\n",
        "tests/run/test_recorded.py",
    ),
]
