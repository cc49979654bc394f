// From the trees' sums to a TreeEnsembleClassifier's scores and label.
#pragma once

#include <cstdint>
#include <vector>

#include "attributes.h"

namespace glulam {

// Does to a row's sums what onnxruntime does, to the bit and in its odd cases too. Where the outcome there hangs on
// memory that nobody wrote, or on the release, the model is refused.
template <typename T>
class Classify {
 public:
  // Throws Refused. `model` was read for n_classes.
  Classify(const Standard<T>& model, int64_t n_classes);

  // Whether row() must be told which classes the row's leaves spoke of, where not all are hit by every row.
  bool needs_hits() const { return needs_hits_; }
  // Whether a row's class is its label, whatever the labels are called: the runtime does not look them up then.
  bool class_is_label() const { return n_classes_ <= 2 && !one_weighed_; }

  // The row's class. sums: n_classes of them, changed; hits: which of them a leaf spoke of, or null where all or
  // where it does not matter; out: the scores, n_classes of them.
  int64_t row(T* sums, const uint8_t* hits, float* out) const;

 private:
  int64_t row_of_one(T sum, float* out) const;
  int64_t row_of_two(T* sums, const uint8_t* hits, float* out) const;
  int64_t row_of_many(T* sums, const uint8_t* hits, float* out) const;

  int64_t n_classes_;
  PostTransform post_transform_;
  std::vector<T> base_;
  bool one_weighed_ = false;     // two classes, and the leaves speak of one of them alone:
  uint8_t weighed_[2] = {1, 1};  // of which
  bool all_positive_ = true;     // no leaf subtracts
  bool needs_hits_;
};

}  // namespace glulam
