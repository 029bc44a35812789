"""Places in two dimensions by UMAP or t-SNE: rows of floats on standard input, two for each row on standard
output. Run by quiverfs map with: METHOD ROWS COLUMNS. Exits 3 where the library is not there."""

import sys

method, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
    import numpy

    if method == "umap":
        import umap
    else:
        from sklearn.manifold import TSNE
except ImportError:
    sys.exit(3)
points = numpy.frombuffer(sys.stdin.buffer.read(), "=f4").reshape(rows, columns)
if method == "umap":
    placed = umap.UMAP(n_components=2, n_neighbors=min(15, rows - 1), random_state=0,
                       n_jobs=1).fit_transform(points)
else:
    placed = TSNE(n_components=2, perplexity=min(30, (rows - 1) / 3), init="pca",
                  learning_rate="auto", random_state=0).fit_transform(points)
sys.stdout.buffer.write(numpy.ascontiguousarray(placed, "=f4").tobytes())
