"""What `lmkit plugins new` writes; `$name` and the like are filled in."""
