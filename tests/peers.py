"""Counts the rows of each table twice: with delta-rs, and with DuckDB over the newest version's files.

    peers.py FOLDER      prints `table count-by-deltalake count-by-duckdb`, one table a line
"""

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

for folder in sorted(Path(sys.argv[1]).iterdir()):
    if folder.name == "progress" or not (folder / "_delta_log").is_dir():
        continue
    table = DeltaTable(str(folder))
    files = [uri.removeprefix("file://") for uri in table.file_uris()]
    rows = duckdb.execute("select count(*) from read_parquet(?, union_by_name = true)", [files]).fetchone()[0]
    print(folder.name, table.count(), rows)
