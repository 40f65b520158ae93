"""The faults that lmkit is tried with, what is to happen, and the tests that do them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Row:
    """A fault."""

    number: int
    fault: str
    happens: str
    """What lmkit does then."""
    tests: tuple[str, ...]
    """Node ids, or their beginnings."""


_CHECKPOINT, _RUN, _FAULTS = "tests/checkpoint", "tests/run", "tests/faults"

PLAN = [
    Row(
        1,
        "SIGKILL at a random moment, once or twice a run",
        "resumed to the same weights, bit for bit; no step before the last checkpoint is lost",
        (f"{_FAULTS}/test_kills.py::test_kills_at_random_moments_cost_no_bit", f"{_RUN}/test_resume.py"),
    ),
    Row(
        2,
        "SIGKILL inside a save, before and behind each call to the system",
        "the old checkpoint or the new one, never a bad one",
        (f"{_FAULTS}/test_kill_in_save.py", f"{_CHECKPOINT}/test_kills.py"),
    ),
    Row(
        3,
        "SIGKILL in each phase: start, step, validation, save, save in the background, end of an epoch, resume",
        "resumed to the same weights, bit for bit",
        (f"{_FAULTS}/test_kills.py::test_a_kill_in_any_phase", "tests/data/test_store.py::test_a_killed_build"),
    ),
    Row(
        4,
        "power loss behind any call of a save, with whatever was on the disk",
        "the old checkpoint or the new one; one that was told as saved is there",
        (f"{_FAULTS}/test_power_loss.py",),
    ),
    Row(
        5,
        "the n-th call to the system fails, for every n: full, broken; once and for good",
        "the error names the file and the reason; older checkpoints are as they were",
        (f"{_CHECKPOINT}/test_faults.py::test_whichever_call",),
    ),
    Row(
        6,
        "a full disk, at 33 sizes of what is left",
        "the error names the file; the last checkpoint stays, nothing half-written does",
        (f"{_CHECKPOINT}/test_faults.py::test_a_full_disk", "tests/data/test_store.py::test_a_full_disk_is_told"),
    ),
    Row(
        7,
        "too little memory; ten times as much to evaluate",
        "a sentence; the peak of memory is that of a tenth",
        (f"{_FAULTS}/test_memory.py::test_too_little", f"{_FAULTS}/test_memory.py::test_evaluating"),
    ),
    Row(
        8,
        "SIGTERM or SIGINT at a random moment, imports and saves included, once or twice",
        "saved where training had begun, exit status 3; the same weights in the end",
        (
            f"{_FAULTS}/test_signals.py",
            "tests/engine/test_loop.py::test_a_signal",
            f"{_RUN}/test_resume.py::test_sigterm",
        ),
    ),
    Row(
        9,
        "a file of a checkpoint is cut or grown",
        "that checkpoint is refused by name, the one before is taken",
        (f"{_CHECKPOINT}/test_damage.py::test_a_file_that_is_cut_or_grown",),
    ),
    Row(
        10,
        "a bit of a checkpoint flips, anywhere",
        "the same",
        (f"{_CHECKPOINT}/test_damage.py::test_a_flipped_bit",),
    ),
    Row(
        11,
        "a file of a checkpoint is missing, one too many, of another checkpoint, or a link",
        "the same, and what it is is said",
        (
            *(f"{_CHECKPOINT}/test_damage.py::test_a_{what}" for what in ("missing", "symbolic", "folder", "file_of")),
            *(f"{_CHECKPOINT}/test_damage.py::test_{what}" for what in ("an_extra", "what_is", "files_swapped")),
        ),
    ),
    Row(
        12,
        "a bit of the tokens on the disk flips, or a file of them is cut",
        "training does not begin; the file is named, with what to delete to have it made again",
        (f"{_FAULTS}/test_stores.py", "tests/data/test_store.py::test_damage"),
    ),
    Row(
        13,
        "the text has changed between two runs",
        "a resume is refused and says what differs; a new run makes new tokens",
        (f"{_RUN}/test_resume.py::test_changed_text", "tests/data/test_store.py::test_a_fingerprint"),
    ),
    Row(
        14,
        "a plugin is missing, older, newer, renamed, or changed its state",
        "named with the line that installs it; read, upgraded or refused, with a sentence each",
        (f"{_RUN}/test_plugins_change.py", f"{_CHECKPOINT}/test_provenance.py", "tests/recipe/test_local_plugins.py"),
    ),
    Row(
        15,
        "a plugin raises at its import, when it is built, or leaves by sys.exit",
        "it is named, and the other plugins work",
        ("tests/registry/test_registry.py", f"{_RUN}/test_bad_input.py::test_a_plugin_that_leaves"),
    ),
    Row(
        16,
        "a loss, a gradient or a batch that is no number",
        "the step is not applied, the batch is named; the run stops, or skips as many as it may",
        ("tests/engine/test_loop.py::test_nan", "tests/engine/test_loop.py::test_a_skipped"),
    ),
    Row(
        17,
        "a loss far above the last ones",
        "the same; the window of losses is part of the checkpoint",
        ("tests/engine/test_loop.py::test_a_spike", f"{_FAULTS}/test_spikes.py"),
    ),
    Row(
        18,
        "a reporter raises, hangs, or is slow",
        "told once; training goes on, and metrics.jsonl has every event",
        (
            f"{_FAULTS}/test_reporters.py",
            f"{_RUN}/test_pretrain.py::test_observers",
            f"{_RUN}/test_pretrain.py::test_a_reporter",
        ),
    ),
    Row(
        19,
        "one of two processes is killed under torchrun --max-restarts",
        "both start again, from the last checkpoint, to the same bits",
        (f"{_FAULTS}/test_processes.py::test_torchrun", f"{_RUN}/test_processes.py::test_a_process_that_dies"),
    ),
    Row(
        20,
        "one of two processes hangs (SIGSTOP)",
        "the other says so within train.collective_minutes and ends; the run can be resumed",
        (f"{_FAULTS}/test_processes.py::test_a_process_that_hangs",),
    ),
    Row(
        21,
        "the wire between two hosts is cut",
        "both say so within train.collective_minutes and end; the run can be resumed",
        (f"{_FAULTS}/test_processes.py::test_a_cut_wire",),
    ),
    Row(
        22,
        "resumed with another number of processes: 2, 3, 2, 1",
        "the same examples in the same order, losses equal to 2e-5",
        (f"{_RUN}/test_processes.py::test_a_run_goes_on_with",),
    ),
    Row(
        23,
        "the clock jumps, files have equal or wrong times",
        "checkpoints are ordered by step, durations are of the monotonic clock",
        (f"{_CHECKPOINT}/test_save.py::test_the_newest_are_kept_by_step",),
    ),
    Row(
        24,
        "a folder or a disk that cannot be written",
        "told before the first step where the folder is new, else at the save; nothing is lost",
        (f"{_CHECKPOINT}/test_faults.py::test_a_disk_mounted", "tests/cli/test_mistakes.py"),
    ),
    Row(
        25,
        "two runs in one folder; a lock whose process was killed",
        "the second is refused and told who is first; a dead process holds nothing",
        (f"{_CHECKPOINT}/test_lock.py", f"{_RUN}/test_resume.py::test_two_processes"),
    ),
    Row(
        26,
        "checkpoints made to do harm: pickles, escapes, links, huge headers, doubled keys",
        "refused before anything of it is run or allocated",
        (f"{_CHECKPOINT}/test_hostile.py",),
    ),
    Row(
        27,
        "files of sixteen kinds with bytes changed at random, their hashes made right",
        "read, or refused in a sentence",
        (f"{_FAULTS}/test_fuzz.py", "tests/config/test_strict.py::test_no_data_raises"),
    ),
    Row(
        28,
        "names of plugins and components that lead elsewhere",
        "refused by their grammar; nothing is imported",
        ("tests/registry", "tests/recipe/test_recipe.py::test_all_mistakes"),
    ),
    Row(
        29,
        "archives with traversal or links",
        "lmkit opens no archive; gzip is read as text, in pieces",
        ("tests/data/test_corpus.py::test_what_is_no_gzip",),
    ),
    Row(
        30,
        "a config of megabytes, a thousand levels, or endless digits",
        "refused by size and depth before it is used",
        ("tests/config/test_reading.py::test_a_file_that_cannot_be_read",),
    ),
    Row(
        31,
        "text and tables with bad bytes, rows and labels",
        "each is told by file and line, or counted and left out where that is asked for",
        ("tests/data/test_corpus.py", "tests/data/test_tables.py", "tests/data/test_json_rows.py"),
    ),
    Row(
        32,
        "test rows that are also trained on; a label without rows",
        "told by `lmkit data inspect`, or refused",
        (f"{_RUN}/test_inspect.py", "tests/cli/test_mistakes.py"),
    ),
    Row(
        33,
        "the same step fails each time",
        "it fails at the same step, with the same batch, and says so; torchrun stops after --max-restarts",
        ("tests/engine/test_loop.py::test_nan",),
    ),
    Row(
        34,
        "a checkpoint of an older state",
        "upgraded by its plugin, or refused with what to install; a newer format is told before it is read",
        (
            f"{_RUN}/test_plugins_change.py::test_weights_of_an_older",
            f"{_CHECKPOINT}/test_hostile.py::test_a_newer_format",
        ),
    ),
    Row(
        35,
        "many steps with a validation and a save each few",
        "memory, open files, threads and the disk do not grow",
        (f"{_FAULTS}/test_memory.py::test_steps",),
    ),
    Row(
        36,
        "the same run in many processes, on one thread and on two",
        "the same bits (fp32, no compiler)",
        (f"{_FAULTS}/test_repeats.py",),
    ),
    Row(
        37,
        "the tests themselves: what keeps runs whole is taken away",
        "a test notices each",
        (f"{_FAULTS}/test_mutants.py",),
    ),
]
