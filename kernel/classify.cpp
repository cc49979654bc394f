#include "classify.h"

#include <algorithm>
#include <string>

#include "finalize.h"

namespace glulam {

template <typename T>
Classify<T>::Classify(const Standard<T>& model, int64_t n_classes)
    : n_classes_(n_classes), post_transform_(model.post_transform), base_(model.base) {
  const Tables<T>& tables = model.tables;
  for (const T weight : tables.weight) all_positive_ = all_positive_ && !(weight < 0);
  bool empty_leaf = false;
  for (size_t i = 0; i + 1 < tables.leaf_start.size(); ++i)
    empty_leaf = empty_leaf || tables.leaf_start[i] == tables.leaf_start[i + 1];
  if (n_classes == 2) {
    const bool zero = std::find(tables.target.begin(), tables.target.end(), 0) != tables.target.end();
    const bool one = std::find(tables.target.begin(), tables.target.end(), 1) != tables.target.end();
    one_weighed_ = zero != one;
    weighed_[0] = zero;
    weighed_[1] = one;
  }
  needs_hits_ = n_classes > 2 || (n_classes == 2 && (!one_weighed_ || empty_leaf));

  if (empty_leaf && base_.empty()) throw Refused("class_nodeids: a leaf has no value, so a row may have no class");
  const size_t most = n_classes > 2 ? static_cast<size_t>(n_classes) : n_classes == 2 ? 2 : 1;
  if (base_.size() > most || (n_classes > 2 && !base_.empty() && base_.size() != most))
    throw Refused("base_values: " + std::to_string(base_.size()) + " values for " + std::to_string(n_classes) +
                  " classes");
  if (n_classes == 2 && base_.size() < 2 && weighed_[0]) {
    // One score for two classes.
    if (post_transform_ == PostTransform::kProbit) throw Refused("post_transform: PROBIT of two classes");
    if (!one_weighed_ && base_.size() == 1) throw Refused("base_values: one value for two classes with values each");
    if (one_weighed_ && all_positive_ && post_transform_ == PostTransform::kLogistic)
      throw Refused("post_transform: LOGISTIC of two classes where no leaf is negative");
  }
}

template <typename T>
int64_t Classify<T>::row(T* sums, const uint8_t* hits, float* out) const {
  if (n_classes_ == 2) return row_of_two(sums, hits ? hits : weighed_, out);
  return n_classes_ == 1 ? row_of_one(sums[0], out) : row_of_many(sums, hits, out);
}

template <typename T>
int64_t Classify<T>::row_of_one(T sum, float* out) const {
  if (!base_.empty()) sum += base_[0];
  const bool positive = sum > 0;
  if (post_transform_ == PostTransform::kProbit) post_transform(PostTransform::kProbit, &sum, 1);
  out[0] = static_cast<float>(sum);
  return positive;
}

template <typename T>
int64_t Classify<T>::row_of_two(T* sums, const uint8_t* hits, float* out) const {
  bool single = !hits[1];  // whether one score stands for both
  if (base_.size() == 2) {
    single = false;
    if (hits[1]) {
      sums[1] = base_[1] + sums[0];
      sums[0] = -sums[1];
    } else {
      sums[1] += base_[1];
      sums[0] += base_[0];
    }
  } else if (base_.size() == 1) {
    sums[0] += base_[0];
  }
  // A class that no leaf spoke of counts as 0, with its base value.
  if (!hits[0]) sums[0] = 0;
  if (!hits[1]) sums[1] = 0;
  const T decisive = hits[1] ? sums[1] : sums[0];
  const bool unsigned_score = one_weighed_ && all_positive_;
  const bool second = unsigned_score ? decisive > 0.5 : decisive > 0;

  if (single) {
    sums[1] = sums[0];
    sums[0] = unsigned_score ? 1 - sums[1] : -sums[1];
    if (post_transform_ == PostTransform::kLogistic) post_transform(PostTransform::kLogistic, sums, 2);
  } else {
    post_transform(post_transform_, sums, 2);
  }
  out[0] = static_cast<float>(sums[0]);
  out[1] = static_cast<float>(sums[1]);
  return second;
}

template <typename T>
int64_t Classify<T>::row_of_many(T* sums, const uint8_t* hits, float* out) const {
  const int64_t n = n_classes_;
  for (size_t k = 0; k < base_.size(); ++k) sums[k] = !hits || hits[k] ? sums[k] + base_[k] : base_[k];
  if (!base_.empty()) hits = nullptr;
  int64_t top = -1;
  T most = 0;
  for (int64_t k = 0; k < n; ++k) {
    if ((hits && !hits[k]) || (top >= 0 && !(sums[k] > most))) continue;
    top = k;
    most = sums[k];
  }
  post_transform(post_transform_, sums, static_cast<size_t>(n));
  for (int64_t k = 0; k < n; ++k) out[k] = static_cast<float>(sums[k]);
  return top;
}

template class Classify<float>;
template class Classify<double>;

}  // namespace glulam
