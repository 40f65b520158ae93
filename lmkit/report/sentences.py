"""Sentences: a run's events in words, for a person who watches."""

from __future__ import annotations

from lmkit.engine.events import Alarm, Evaluated, Event, Finished, Resumed, Sampled, Saved, Started, Stepped

_SHOWN = 100  # characters of an answer


def sentences(event: Event) -> list[str]:
    """The lines that tell an event; none for a step, which `progress` tells."""
    match event:
        case Started():
            return _started(event)
        case Evaluated(step=step, name=name, seconds=seconds):
            loss = f"loss {event.loss:.4g}"
            terms = [
                f"{term} {value:.4g}" for term, value in event.terms.items() if "." in term or len(event.terms) > 1
            ]
            return [f'step {step:,}  validation "{name}": {"  ".join([loss, *terms])}  ({seconds:.1f} s)']
        case Sampled(asked=asked, answered=answered):
            said = answered.replace("\n", " ")
            return [f"  {asked} → {said if len(said) <= _SHOWN else said[:_SHOWN] + '…'}"]
        case Saved(step=step, path=path, seconds=seconds):
            return [f"step {step:,}  saved {path} ({seconds:.1f} s)"]
        case Resumed(step=step, path=path, promise=promise):
            return [f"goes on from {path} (step {step:,}): {promise}", *(f"  {line}" for line in event.differences)]
        case Alarm(message=message):
            return [f"alarm: {message}"]
        case Finished(reason=reason, step=step, tokens=tokens, seconds=seconds):
            return [f"{reason}: {step:,} steps, {tokens:,} tokens, {duration(seconds)} of training"]
    return []


def _started(event: Started) -> list[str]:
    threads = "1 thread" if event.threads == 1 else f"{event.threads} threads"
    if event.processes > 1:
        threads = f"{event.processes} processes with {threads} each"
    how = f"{event.device}, {event.precision}, {threads}, {'compiled' if event.compiled else 'not compiled'}"
    lines = [f"{event.parameters:,} parameters to train on {how}"]
    if event.compiled:
        lines.append("compiling the model: 20 to 60 seconds, once")
    return lines


def progress(event: Stepped, *, steps: int | None, left: float | None) -> str:
    """A step in one line; `steps` are those of the whole budget, `left` the seconds that remain, where known."""
    share = f"/{steps:,}" if steps else f" ({event.progress:.0%})"
    speed = f"{event.tokens_per_second:,.0f} tokens/s"
    parts = [f"step {event.step:,}{share}", f"loss {event.loss:.4g}", speed]
    if event.model_flops_utilization is not None and event.model_flops_utilization >= 0.01:
        parts.append(f"MFU {100 * event.model_flops_utilization:.0f} %")
    if left is not None:
        parts.append(f"eta {duration(left)}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours and minutes, as a person would say it: 48 s, 6 min, 2 h 05 min."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
