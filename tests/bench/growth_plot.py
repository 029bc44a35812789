"""The plot of how cost grows: times and memory against the number of vectors, log-log."""

import growth
import plot

COLOURS = {
    "create": "#1f5fa8", "read": "#6fb1e8", "list": "#e08a3c", "open": "#7a9a5a",
    "mount": "#b8b8b8", "compact": "#c04848", "memory": "#1f5fa8",
    "memory of a vector": "#e08a3c",
}
TITLES = {
    "create": "create, write, close", "read": "open, read, close", "list": "list, a name",
    "open": "open the store", "mount": "mount", "compact": "compact, a vector moved",
    "memory": "daemon, bytes", "memory of a vector": "of each vector, bytes",
}

SCRIPT = """
set logscale xy
set format x "10^{%T}"
set format y "10^{%T}"
set grid xtics ytics lc rgb "#d0d0d0"
set key outside right center Left reverse noenhanced samplen 2
set xlabel "vectors"
set style data yerrorlines
set bars small
set pointsize 0.6
set lmargin 10
set rmargin 30
"""


def data_block(name, row, everything, divisor):
    """gnuplot's data: count, median, least, most. On a logarithmic axis there is no 0."""
    lines = []
    for found in everything:
        values = found.rows[row].values.get(growth.OURS)
        if values and found.median(row, growth.OURS) > 0:
            spread = growth.Spread(values.values())
            low = max(spread.least, spread.median / 100)
            lines.append(f"{found.count} {spread.median / divisor:.6g} {low / divisor:.6g} "
                         f"{spread.most / divisor:.6g}")
    return f"${name} << END\n" + "\n".join(lines) + "\nEND\n" if lines else None


def panel(title, label, rows, everything, divisor):
    """The data and the plot of some rows; "" where there are none."""
    blocks, parts = [], []
    for row in rows:
        name = row.replace(" ", "_")
        block = data_block(name, row, everything, divisor)
        if block:
            blocks.append(block)
            parts.append(f'${name} using 1:2:3:4 title "{TITLES[row]}" lc rgb "{COLOURS[row]}" '
                         "lw 1.5 pt 7")
    if not parts:
        return ""
    return ("".join(blocks) + f'set title "{title}"\nset ylabel "{label}"\n'
            + "plot " + ", ".join(parts) + "\n")


def draw(everything, head, prefix):
    """The files that were written."""
    machine = f"{head['host']['cpu']}, {head['host']['cpus']} CPUs, Linux {head['host']['kernel']}"
    shape = f"{growth.DIM} x f4, {growth.DIM * 4} bytes each"
    panels = [panel(f"time ({shape})", "microseconds", growth.TIMES, everything, 1000),
              panel("memory of the daemon, without the page cache", "bytes", growth.MEMORY,
                    everything, 1)]
    panels = [text for text in panels if text]
    text = (SCRIPT + f"set xrange [{everything[0].count * 0.7}:{everything[-1].count * 1.4}]\n"
            + f"set multiplot layout {len(panels)},1 "
            + f'title "{machine}" noenhanced font ",9"\n' + "".join(panels) + "unset multiplot\n")
    return plot.run_gnuplot(text, 380 * len(panels) + 20, prefix, "enhanced")
