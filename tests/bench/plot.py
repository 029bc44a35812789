"""The plot: how many times as fast as the baseline, by gnuplot, as PNG and SVG."""

import subprocess

from host import BenchError

# Rows, with the name under the bars and the systems that have one.
MOUNTED = {
    "create x1": "create", "create x2": "create, 2 clients",
    "overwrite, rename x1": "overwrite by rename", "delete x1": "delete",
    "read cached x1": "read cached", "read cached x2": "read cached, 2 clients",
    "read cold, random x1": "read cold", "read cold, random x2": "read cold, 2 clients",
    "stat cold x1": "stat cold", "list with attributes cold x1": "ls -l cold",
    "find -newer cold": "find cold", "tar c cold": "tar c cold",
    "rsync -a out cold": "rsync out", "rsync -a in": "rsync in",
}
IN_PROCESS = {
    "put x1": "put", "put, durable x1": "put, durable",
    "put, durable x16": "put, durable, 16 writers", "batch of 1000 x1": "batch of 1000",
    "remove x1": "remove", "get by reference x1": "get by reference",
    "get by copy x1": "get by copy",
    "get by copy, checksum x1": "get, checksum",
    "clean open": "clean open",
}
SYSTEMS = {
    "mounted": ["quiverfs", "quiverfs ro", "tmpfs", "passthrough_hp"],
    "inprocess": ["quiverfs", "RocksDB", "SQLite"],
}
COLOURS = {
    "quiverfs": "#1f5fa8", "quiverfs ro": "#6fb1e8", "tmpfs": "#b8b8b8",
    "passthrough_hp": "#e08a3c", "RocksDB": "#d0b040", "SQLite": "#7a9a5a",
}

SCRIPT = """
set style data histograms
set style histogram errorbars gap 1.5 lw 1
set style fill solid 0.85 noborder
set boxwidth 0.95
set logscale y 2
set grid ytics lc rgb "#d0d0d0"
set xtics rotate by -35 scale 0 font ",9"
set key outside top center horizontal
set bmargin 7
set tmargin 5
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc rgb "#404040" dt 2
set ylabel "times as fast"
set errorbars lc rgb "#404040"
set datafile missing "nan"
"""


def data_block(name, rows, systems, results, baseline):
    """gnuplot's data: a line for each row; ratio, least and most for each system."""
    lines = []
    for row, title in rows.items():
        ratios = [results.ratio(row, system, baseline) for system in systems]
        if any(ratios):
            cells = [f"{r.median:.4f} {r.least:.4f} {r.most:.4f}" if r else "nan nan nan"
                     for r in ratios]
            lines.append(f'"{title}" ' + " ".join(cells))
    return (f"${name} << END\n" + "\n".join(lines) + "\nEND\n") if lines else None


def plot_command(name, title, systems):
    parts = []
    for i, system in enumerate(systems):
        column = 2 + 3 * i
        parts.append(f"${name} using {column}:{column + 1}:{column + 2}"
                     + (":xtic(1)" if i == 0 else "")
                     + f' title "{system}" lc rgb "{COLOURS[system]}"')
    return f'set title "{title}"\nplot ' + ", ".join(parts) + "\n"


def script(results, head, disk):
    blocks, plots = [], []
    for name, rows, baseline in (("mounted", MOUNTED, disk), ("inprocess", IN_PROCESS, "LMDB")):
        systems = SYSTEMS[name]
        data = data_block(name, rows, systems, results, baseline)
        if data:
            blocks.append(data)
            what = "files" if name == "mounted" else "in process"
            title = f"{what}, beside {baseline}: {results.count:,} vectors of {results.dim} x f4"
            plots.append(plot_command(name, title, systems))
    if not plots:
        return None, 0
    machine = f"{head['host']['cpu']}, {head['host']['cpus']} CPUs, Linux {head['host']['kernel']}"
    return ("".join(blocks) + SCRIPT + f"set multiplot layout {len(plots)},1 "
            + f'title "{machine}" font ",9"\n' + "".join(plots) + "unset multiplot\n"), len(plots)


def run_gnuplot(text, height, prefix, names="noenhanced"):
    """Write PREFIX.png and PREFIX.svg; their names."""
    files = []
    for kind, terminal in (("png", "pngcairo"), ("svg", "svg")):
        file = f"{prefix}.{kind}"
        setup = (f"set terminal {terminal} {names} size 1100,{height}\n"
                 f'set output "{file}"\n')
        done = subprocess.run(["gnuplot"], input=setup + text, text=True, stderr=subprocess.PIPE,
                              check=False)
        if done.returncode != 0:
            raise BenchError(f"gnuplot: {done.stderr.strip()}")
        files.append(file)
    return files


def draw(results, head, disk, prefix):
    """The files that were written."""
    text, panels = script(results, head, disk)
    return run_gnuplot(text, 480 * panels + 20, prefix) if text else []
