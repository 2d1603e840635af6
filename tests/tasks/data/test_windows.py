"""Windows: no position is lost, no window is too long, and `best` picks a window with enough context."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import tensorflow as tf

from keras_bert_scratch.tasks.data.windows import overlapping_windows, slices


@hypothesis.given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 12), st.integers(0, 20))
@hypothesis.settings(max_examples=40, deadline=None)
def test_windows(lengths, room, overlap):
    windows = overlapping_windows(tf.constant(lengths), room, overlap)
    spans = np.stack([windows.sequence, windows.start, windows.limit], axis=1).tolist()
    for number, length in enumerate(lengths):
        own = [(start, limit) for sequence, start, limit in spans if sequence == number]
        assert len(own) == windows.counts[number]
        assert own[0][0] == 0
        assert own[-1][1] == length
        assert all(0 <= limit - start <= room for start, limit in own)
        # Neighbours share the requested overlap, and only the last window ends at the end.
        assert all(before[1] - after[0] == min(overlap, room - 1) for before, after in itertools.pairwise(own))
        assert all(limit < length for _, limit in own[:-1])
        best = windows.best(tf.fill([length], number), tf.range(length)).numpy()
        for position in range(length):

            def context(window, position=position, own=own, length=length):
                start, limit = own[window]
                left = position - start if start else length
                right = limit - 1 - position if limit < length else length
                return min(left, right) if start <= position < limit else -1

            shown = context(best[position])
            assert shown >= 0
            most = max(context(window) for window in range(len(own)))
            assert shown >= min(most, max(overlap - 1, 0) // 2)


def test_slices():
    rows = tf.ragged.constant([[1, 2, 3], [], [4, 5]])
    found = slices(rows, tf.constant([2, 0, 1, 0]), tf.constant([0, 1, 0, 0]), tf.constant([1, 3, 0, 0]))
    assert found.to_list() == [[4], [2, 3], [], []]
