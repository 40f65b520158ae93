"""Robin Hood asks his system for sentences: python examples/robin-hood/robin_hood.py RUN, a run of vocabulary.toml."""

import argparse
import textwrap

import lmkit

WORDS = ("quiver", "quarterstaff, bridge", "venison, yeoman, cowl", "doublet, minstrel", "glade, sheriff, bow")
LETTER = "Bring the palfrey to the hostelry, and tell the friar that a troubadour waits for him with a psaltery."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    run = lmkit.load(parser.parse_args().run)
    for words in WORDS:
        say(words, run.sentences(words))
    [answer] = run.predict([{"text": LETTER}])
    print(f"\nA letter: {LETTER}\nUnfamiliar: {', '.join(word['word'] for word in answer['unfamiliar'])}")
    say(", ".join(answer["words"]), answer)


def say(words: str, answer: dict) -> None:
    """The sentences of an answer, the likeliest first."""
    print(f"\n{words}")
    for sentence in answer["sentences"]:
        print(textwrap.fill(sentence["text"], 100, initial_indent="  - ", subsequent_indent="    "))


if __name__ == "__main__":
    main()
