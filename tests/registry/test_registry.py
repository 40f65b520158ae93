"""The registry over real distributions: metadata on disk, found by importlib.metadata."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lmkit
from lmkit.errors import PluginError, UnknownComponentError
from lmkit.registry import Component, Registry, default_registry, plugins

OFFER = """
from lmkit import hookimpl
import attrs

@hookimpl
def lmkit_encoders():
    return {{{names}}}
"""


def offer(**names: str) -> str:
    return OFFER.format(names=", ".join(f'"{name.replace("_", "-")}": "{path}"' for name, path in names.items()))


def test_a_plugin_offers_its_components_without_importing_them(distribution: Callable[..., Path]) -> None:
    distribution("lmkit-mixer", "0.3.1", offer(mixer="nowhere.mixer:Mixer"), requires=["lmkit>=0.1,<0.2"])
    [plugin] = Registry().plugins()
    assert (plugin.distribution, plugin.version, plugin.module) == ("lmkit-mixer", "0.3.1", "lmkit_mixer")
    assert (plugin.state, plugin.reason) == ("ok", "")
    assert 0 < plugin.import_ms < 5000
    component = Component("encoder", "mixer", "lmkit-mixer", "0.3.1", "nowhere.mixer:Mixer", use="mixer")
    assert plugin.components == (component,)
    assert Registry().find("encoder", "mixer") == component
    assert Registry().find("encoder", "lmkit-mixer:mixer") == component
    assert Registry().find("encoder", "LMKIT_Mixer:mixer") == component
    assert str(component) == 'encoder "mixer" (lmkit-mixer 0.3.1)'
    assert "nowhere" not in sys.modules


def test_distributions_are_found_on_the_path(tmp_path: Path, distribution: Callable[..., Path]) -> None:
    """The same folder, found by importlib.metadata in another process, with nothing in its way."""
    site = distribution("lmkit-mixer", "0.3.1", offer(mixer="lmkit_mixer:Mixer")).parent
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import lmkit; print([str(p) for p in lmkit.plugins()])"
    root = Path(lmkit.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert "'lmkit-mixer 0.3.1'" in done.stdout


def test_an_unknown_name_lists_what_is_installed_and_suggests_the_nearest(distribution: Callable[..., Path]) -> None:
    distribution("lmkit-bert", "0.1.0", offer(bert="b:B", modernbert="b:M"))
    distribution("lmkit-old", "0.1.0", offer(old="o:O"))
    with pytest.raises(UnknownComponentError) as caught:
        Registry(disabled=["lmkit_old"]).find("encoder", "brt")
    assert str(caught.value) == (
        'no encoder named "brt". Installed: bert (lmkit-bert 0.1.0), modernbert (lmkit-bert 0.1.0). '
        'Did you mean "bert"? Not loaded: lmkit-old 0.1.0 (disabled).'
    )
    with pytest.raises(LookupError, match=r'^no objective named "bert"\. Installed: none\.$'):
        Registry(disabled=[]).find("objective", "bert")


def test_a_plugin_that_raises_is_told_once_and_costs_the_others_nothing(distribution: Callable[..., Path]) -> None:
    file = distribution("lmkit-broken", "0.3.0", "import attrs\n\nraise RuntimeError('no\\n licence')\n")
    distribution("lmkit-bert", "0.1.0", offer(bert="b:B"))
    reason = (
        f"lmkit-broken 0.3.0 failed: RuntimeError: no licence ({file}:3). "
        "Disable it with LMKIT_PLUGINS_DISABLE=lmkit-broken"
    )
    registry = Registry()
    with pytest.warns(UserWarning, match="lmkit-broken") as caught:
        listed = registry.plugins()
    assert [str(warning.message) for warning in caught] == [reason]
    assert [(str(plugin), plugin.state, plugin.reason) for plugin in listed] == [
        ("lmkit-bert 0.1.0", "ok", ""),
        ("lmkit-broken 0.3.0", "failed", reason),
    ]
    assert registry.find("encoder", "bert").distribution == "lmkit-bert"  # and no second warning: warnings are errors


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax ({file}:1)"),
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all' ({file}:1)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 ({file}:2)"),
        ("x = 1\n", "lmkit_odd has no function marked with @hookimpl"),
        ("def lmkit_tasks():\n    return {}\n", "lmkit_tasks is not marked with @hookimpl"),
        (
            OFFER.format(names="").replace("encoders", "encoder"),
            'no hook is named "lmkit_encoder". Did you mean "lmkit_encoders"?',
        ),
        (OFFER.format(names="**1 / 0"), "ZeroDivisionError: division by zero ({file}:7)"),
        (
            OFFER.format(names="'a', 'b'").replace("{'a', 'b'}", "['a']"),
            "lmkit_encoders must return {name: \"module:Class\"}, not list ['a']",
        ),
        (
            OFFER.format(names="'Mixer': 'm:M'"),
            "lmkit_encoders offers the name 'Mixer', which does not match [a-z0-9][a-z0-9_-]{0,63}",
        ),
        (
            OFFER.format(names="'mixer': 'm.M'"),
            'lmkit_encoders offers "mixer" at \'m.M\', which is no "module:Class"',
        ),
        (
            OFFER.format(names="").replace("encoders()", "encoders(config)"),
            (
                "Plugin 'lmkit_odd' for hook 'lmkit_encoders' hookimpl definition: lmkit_encoders(config) "
                "Argument(s) {'config'} are declared in the hookimpl but can not be found in the hookspec"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(distribution: Callable[..., Path], source: str, reason: str) -> None:
    file = distribution("lmkit-odd", "2.0", source)
    with pytest.warns(UserWarning, match="lmkit-odd 2.0 failed"):
        [plugin] = Registry().plugins()
    told = reason.replace("{file}", str(file))
    assert plugin.state == "failed"
    assert plugin.reason == f"lmkit-odd 2.0 failed: {told}. Disable it with LMKIT_PLUGINS_DISABLE=lmkit-odd"
    assert plugin.components == ()


def test_a_plugin_whose_module_is_absent_fails(distribution: Callable[..., Path]) -> None:
    distribution("lmkit-odd", "2.0", "x = 1", module="lmkit_gone.plugin")
    with pytest.warns(UserWarning, match="lmkit-odd 2.0 failed"):
        [plugin] = Registry().plugins()
    assert plugin.reason == (
        "lmkit-odd 2.0 failed: ModuleNotFoundError: No module named 'lmkit_gone'. "
        "Disable it with LMKIT_PLUGINS_DISABLE=lmkit-odd"
    )


def test_two_distributions_with_one_name_are_in_conflict(distribution: Callable[..., Path]) -> None:
    distribution("alpha", "1.0", offer(twin="alpha:Twin", only="alpha:Only"))
    distribution("beta", "2.0", offer(twin="beta:Twin"))
    registry = Registry()
    reason = (
        '2 plugins offer encoder "twin": alpha 1.0 and beta 2.0. Write "alpha:twin" or "beta:twin", '
        "or disable one with LMKIT_PLUGINS_DISABLE=alpha"
    )
    assert [(plugin.state, plugin.reason) for plugin in registry.plugins()] == [("conflict", reason)] * 2
    with pytest.raises(PluginError) as caught:
        registry.find("encoder", "twin")
    assert str(caught.value) == reason
    assert registry.find("encoder", "beta:twin").path == "beta:Twin"
    assert registry.find("encoder", "only").path == "alpha:Only"
    assert [component.use for component in registry.components()] == ["alpha:twin", "only", "beta:twin"]
    assert Registry(disabled=["alpha"]).find("encoder", "twin").use == "twin"


def test_one_name_for_two_kinds_is_no_conflict(distribution: Callable[..., Path]) -> None:
    distribution("alpha", "1.0", offer(twin="alpha:Twin"))
    distribution("beta", "2.0", offer(twin="beta:Twin").replace("encoders", "objectives"))
    assert [plugin.state for plugin in Registry().plugins()] == ["ok", "ok"]


@pytest.mark.parametrize("wanted", ["lmkit>=0.2,<0.3", "LMKIT <0.3,>=0.2 ; python_version > '3'"])
def test_a_plugin_for_another_lmkit_is_not_imported(distribution: Callable[..., Path], wanted: str) -> None:
    distribution("lmkit-new", "5.0", "raise RuntimeError", requires=["attrs", "lmkit-bert>=9", wanted])
    with pytest.warns(UserWarning, match="lmkit-new 5.0 wants lmkit"):
        [plugin] = Registry().plugins()
    assert plugin.state == "incompatible"
    assert plugin.reason == (
        "lmkit-new 5.0 wants lmkit<0.3,>=0.2, but lmkit 0.1.0 is installed. "
        "Disable it with LMKIT_PLUGINS_DISABLE=lmkit-new"
    )


def test_what_an_extra_requires_does_not_count(distribution: Callable[..., Path]) -> None:
    distribution("alpha", "1.0", offer(a="alpha:A"), requires=["lmkit[test]>=9; extra == 'test'", "lmkit>=0.1"])
    assert [plugin.state for plugin in Registry().plugins()] == ["ok"]


def test_disabled_plugins_are_listed_and_not_imported(
    distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("lmkit-broken", "0.3.0", "raise RuntimeError")
    monkeypatch.setenv("LMKIT_PLUGINS_DISABLE", "Lmkit_Broken, ")
    [plugin] = plugins()
    assert (plugin.state, plugin.reason) == ("disabled", "lmkit-broken 0.3.0 is disabled by LMKIT_PLUGINS_DISABLE")
    assert "lmkit_broken" not in sys.modules


def test_disabling_what_is_not_installed_is_told(distribution: Callable[..., Path]) -> None:
    distribution("alpha", "1.0", offer(a="alpha:A"))
    with pytest.warns(UserWarning, match=r'^LMKIT_PLUGINS_DISABLE names "gamma", which is no installed plugin$'):
        Registry(disabled=["gamma"]).plugins()


def test_the_default_registry_is_read_once(distribution: Callable[..., Path]) -> None:
    distribution("alpha", "1.0", offer(a="alpha:A"))
    assert default_registry() is default_registry()
    assert [str(plugin) for plugin in plugins()] == ["alpha 1.0"]
