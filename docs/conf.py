"""How the documentation is built: `make docs`."""

from importlib import metadata

project = "lmkit"
author = "The lmkit authors"
release = metadata.version("lmkit")
copyright = "the lmkit authors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"lmkit {release}"
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
suppress_warnings = ["myst.xref_missing"]  # the plugin guide is a page of the source too, and links to files there
