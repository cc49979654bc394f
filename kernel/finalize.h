// From the trees' sums to a node's outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "attributes.h"
#include "tables.h"

namespace glulam {

// What is done to the scores of a regression: as onnxruntime does it, to the bit.
template <typename T>
struct Finish {
  Aggregate aggregate = Aggregate::kSum;
  PostTransform post_transform = PostTransform::kNone;
  int64_t n_targets = 1;
  int64_t n_trees = 1;
  std::vector<T> base;  // one a target, or none

  // scores and hits: what Forest::score gave, n_rows x n_targets, hits null where needs_hits() says so or all are;
  // out: the same shape, and may be the same memory as scores.
  template <typename Out>
  void apply(T* scores, const uint8_t* hits, int64_t n_rows, Out* out) const;

  // Whether it matters which targets were hit: without a leaf, a target goes without its base value too.
  bool needs_hits() const { return n_targets > 1 && !base.empty(); }

  // Whether apply would give the scores back as they are (where T is the type of the output).
  bool nothing() const;
};

// The transforms of one row of `n` scores in place; n >= 2 but for kProbit.
template <typename T>
void post_transform(PostTransform transform, T* scores, size_t n);

}  // namespace glulam
