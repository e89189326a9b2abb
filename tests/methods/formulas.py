"""The papers' formulas once more: numpy, float64, one device, as slow and as plain as they come."""

import itertools

import numpy as np


def wide(x):
    return np.asarray(x, np.float64)


def unit(x):
    return wide(x) / np.linalg.norm(wide(x), axis=-1, keepdims=True)


def cosine(x, y):
    """Mean cosine of matching rows."""
    return np.mean(np.sum(unit(x) * unit(y), axis=-1))


def off_diagonal(matrix):
    """Sum of the squares beside the diagonal."""
    return np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2)


def barlow_twins(z_a, z_b, lambd=0.0051):
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (wide(z_a), wide(z_b)))
    c = a.T @ b / len(a)
    return np.sum((np.diag(c) - 1) ** 2) + lambd * off_diagonal(c)


def invariance(x, y):
    return np.mean((wide(x) - wide(y)) ** 2)


def variance(*views):
    """VICReg's, halved for each view as in its code."""
    deviations = (np.sqrt(wide(z).var(0, ddof=1) + 1e-4) for z in views)
    return sum(np.mean(np.maximum(0, 1 - s)) / 2 for s in deviations)


def covariance(*views):
    return sum(off_diagonal(np.cov(wide(z), rowvar=False)) / z.shape[1] for z in views)


def whiten(h):
    """Rows h with mean 0 and covariance I, by the inverse of the Cholesky factor."""
    lower = np.linalg.cholesky(np.cov(wide(h), rowvar=False))
    return (wide(h) - wide(h).mean(0)) @ np.linalg.inv(lower).T


def w_mse(views, groups):
    """W-MSE of sub-batches, given as lists of rows: the mean over all pairs of views."""
    distances = [
        2 - 2 * cosine(whiten(wide(a)[rows]), whiten(wide(b)[rows]))
        for a, b in itertools.combinations(views, 2)
        for rows in groups
    ]
    return np.mean(distances)


def info_nce(q, k, temperature):
    """MoCo v3's, one direction: -2T mean_n log softmax(q k / T)_nn."""
    logits = unit(q) @ unit(k).T / temperature
    log_p = np.diag(logits) - np.log(np.sum(np.exp(logits), axis=1))
    return -2 * temperature * np.mean(log_p)


def sinkhorn(scores, epsilon, iterations):
    """SwAV's codes of (N, K) scores: rows sum to 1, columns to about N / K."""
    q = np.exp(wide(scores) / epsilon)
    for _ in range(iterations):
        q /= q.sum(0, keepdims=True)
        q /= q.sum(1, keepdims=True)
    return q


def swav(scores, *, queue=None, temperature=0.1, epsilon=0.05, iterations=3):
    """SwAV of (crops, N, K) scores, the first two crops assigned; queue: their (2, M, K) scores."""
    scores, terms = wide(scores), []
    for c in (0, 1):
        rows = scores[c] if queue is None else np.concatenate([scores[c], queue[c]])
        codes = sinkhorn(rows, epsilon, iterations)[: scores.shape[1]]
        for v in range(len(scores)):
            if v != c:
                p = np.exp(scores[v] / temperature)
                p /= p.sum(1, keepdims=True)
                terms.append(-np.mean(np.sum(codes * np.log(p), axis=1)))
    return np.mean(terms)
