"""Text to blocks: files -> documents -> tokens on disk -> blocks -> examples in a seeded order.

settings   the [data] table                     build, store   documents' tokens, made once, memory-mapped
files      paths and patterns -> files          packing, blocks   pieces of documents in blocks
lines, tables   their lines and rows            order, stream   which block comes when
corpus     documents, in pieces                 prepare   a [data] table -> the stores of a run
rows       labelled rows for tasks              tally, folder   what is bad; folders whole or not at all
"""
