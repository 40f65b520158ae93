"""What `lmkit plugins new` writes, where `$name` and the like are filled in, and the pages of report and playground."""
