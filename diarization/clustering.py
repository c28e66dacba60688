"""Group embeddings by speaker: agglomerative clustering with average linkage, on numpy.

Average linkage by cosine (the mean over all pairs) needs only the sums of the vectors; the pair with the
greatest similarity is merged until the greatest falls below a threshold (Sokal and Michener 1958).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diarization.chunks import Floats, normalized

MAX_CLUSTERED: Final = 2_000  # embeddings that are compared with one another; the others join the nearest
MAX_SPEAKERS: Final = 20

Labels = NDArray[np.intp]


class SpeakerBoundsError(ValueError):
    """The bounds of the number of speakers contradict one another or are out of range."""


@dataclass(frozen=True, slots=True)
class SpeakerBounds:
    """Bound the number of speakers that are told apart.

    Raises SpeakerBoundsError unless 1 ≤ least ≤ most ≤ MAX_SPEAKERS.
    """

    least: int = 1
    most: int = MAX_SPEAKERS

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MAX_SPEAKERS:
            raise SpeakerBoundsError(
                f"the number of speakers must lie between 1 and {MAX_SPEAKERS}, and its bounds be in order, "
                f"not {self.least} to {self.most}"
            )


ANY_NUMBER: Final = SpeakerBounds()


@dataclass(frozen=True, slots=True)
class ClusteringOptions:
    """Hold the parameters of the clustering.

    similarity: groups whose mean similarity is lower belong to different speakers
    doubtful: so do groups whose mean similarity is lower than this, and by `drop` lower than that of the
        groups merged before, if both have `clear_group_seconds` of speech: the voices in clear recordings,
        and synthetic ones, are more similar to one another, but each is still more similar to itself
    clear_seconds: an embedding of less speech is too uncertain to found a group; it joins the nearest one
    least_seconds: a group with less speech is no speaker of its own; its embeddings join the nearest group
    """

    similarity: float = 0.33
    doubtful: float = 0.5
    drop: float = 0.2
    clear_group_seconds: float = 4.0
    clear_seconds: float = 1.0
    least_seconds: float = 2.0


DEFAULTS: Final = ClusteringOptions()


def cluster(
    embeddings: Floats,
    seconds: Floats,
    bounds: SpeakerBounds = ANY_NUMBER,
    options: ClusteringOptions = DEFAULTS,
) -> Labels:
    """Return the group of each embedding, numbered from 0 in the order of their first members.

    embeddings: float32 (n, d), each of length 1
    seconds: float32 (n,), speech behind each embedding: its weight
    Deterministic. Compares at most MAX_CLUSTERED embeddings with one another (16 MB), those with the most
    speech; time grows with the square of that number and linearly with n.
    """
    if not len(embeddings):
        return np.zeros(0, np.intp)
    chosen = _chosen(seconds, bounds, options)
    labels = _agglomerate(embeddings[chosen], seconds[chosen], bounds, options)
    centroids = centroids_of(embeddings[chosen], seconds[chosen], labels)
    return in_order_of_appearance(np.argmax(embeddings @ centroids.T, axis=1))


def in_order_of_appearance(labels: Labels) -> Labels:
    """Return labels that are numbered in the order in which they first appear."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _chosen(seconds: Floats, bounds: SpeakerBounds, options: ClusteringOptions) -> Labels:
    """Return the indices of the embeddings that found groups, ascending."""
    clear = np.flatnonzero(seconds >= options.clear_seconds)
    if len(clear) < bounds.least:
        clear = np.arange(len(seconds))
    order = clear[np.argsort(-seconds[clear], kind="stable")]
    return np.sort(order[:MAX_CLUSTERED])


def _agglomerate(
    embeddings: Floats, seconds: Floats, bounds: SpeakerBounds, options: ClusteringOptions
) -> Labels:
    """Merge the most similar groups while they are similar enough or too many or too small."""
    count = len(embeddings)
    sums = embeddings * seconds[:, None]
    weights = seconds.astype(np.float64)
    members = [[index] for index in range(count)]
    similarities = (embeddings @ embeddings.T).astype(np.float32)
    np.fill_diagonal(similarities, -np.inf)
    best = similarities.argmax(axis=1)
    alive = np.ones(count, np.bool_)

    def merge(into: int, other: int) -> None:
        sums[into] += sums[other]
        weights[into] += weights[other]
        members[into] += members[other]
        alive[other] = False
        similarities[other] = -np.inf
        similarities[:, other] = -np.inf
        row = (sums @ sums[into]) / (weights * weights[into])
        row[~alive] = -np.inf
        row[into] = -np.inf
        similarities[into] = row
        similarities[:, into] = row
        stale = np.flatnonzero(alive & ((best == into) | (best == other)))
        best[stale] = similarities[stale].argmax(axis=1)
        best[into] = row.argmax()
        better = alive & (row > similarities[np.arange(count), best])
        best[better] = into

    def closest() -> tuple[int, int, float]:
        values = np.where(alive, similarities[np.arange(count), best], -np.inf)
        first = int(values.argmax())
        return first, int(best[first]), float(values[first])

    def differ(first: int, second: int, similarity: float, before: float) -> bool:
        if similarity < options.similarity:
            return True
        is_drop = similarity < options.doubtful and before - similarity >= options.drop
        return is_drop and bool(min(weights[first], weights[second]) >= options.clear_group_seconds)

    before = 0.0  # similarity of the groups that were merged last
    while alive.sum() > bounds.least:
        first, second, similarity = closest()
        if differ(first, second, similarity, before):
            break
        merge(min(first, second), max(first, second))
        before = similarity
    while alive.sum() > bounds.least:
        small = np.flatnonzero(alive & (weights < options.least_seconds))
        if not len(small):
            break
        least = int(small[weights[small].argmin()])
        merge(*sorted((least, int(best[least]))))
    while alive.sum() > bounds.most:
        first, second, _ = closest()
        merge(min(first, second), max(first, second))
    labels = np.zeros(count, np.intp)
    for label, group in enumerate(np.flatnonzero(alive)):
        labels[members[group]] = label
    return labels


def centroids_of(embeddings: Floats, seconds: Floats, labels: Labels) -> Floats:
    """Return the embedding of each group, float32 (groups, d) of length 1, weighted by the seconds."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]), np.float32)
    np.add.at(sums, labels, embeddings * seconds[:, None])
    return normalized(sums)
