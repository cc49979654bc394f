#include "finalize.h"

#include <cmath>
#include <limits>

namespace glulam {

namespace {

// onnxruntime computes its transforms in float, whatever the type of the scores.

float logistic(float x) {
  const float y = 1 / (1 + std::exp(-std::abs(x)));
  return x < 0 ? 1 - y : y;
}

// An approximation of the inverse of erf (Winitzki 2008), with the constants in float.
float inverse_erf(float x) {
  constexpr float kPi = static_cast<float>(3.14159265358979323846);
  const float sign = x < 0 ? -1.0f : 1.0f;
  const float log = std::log((1 - x) * (1 + x));
  const float a = 2 / (kPi * 0.147f) + 0.5f * log;
  const float b = 1 / 0.147f * log;
  return sign * std::sqrt(-a + std::sqrt(a * a - b));
}

float probit(float x) {
  constexpr float kSqrt2 = static_cast<float>(1.41421356237309504880);
  return kSqrt2 * inverse_erf(2 * x - 1);
}

template <typename T>
float largest(const T* scores, size_t n) {
  float largest = -std::numeric_limits<float>::max();
  for (size_t i = 0; i < n; ++i)
    if (static_cast<float>(scores[i]) > largest) largest = static_cast<float>(scores[i]);
  return largest;
}

template <typename T>
void softmax(T* scores, size_t n) {
  const float top = largest(scores, n);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const float e = std::exp(static_cast<float>(scores[i]) - top);
    scores[i] = e;
    sum += e;
  }
  for (size_t i = 0; i < n; ++i) scores[i] = static_cast<float>(scores[i]) / sum;
}

// A softmax in which scores of about zero stay there.
template <typename T>
void softmax_zero(T* scores, size_t n) {
  const float top = largest(scores, n), zero = std::exp(-top);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const float x = static_cast<float>(scores[i]);
    if (x > 0.0000001f || x < -0.0000001f) {
      const float e = std::exp(x - top);
      scores[i] = e;
      sum += e;
    } else {
      scores[i] = scores[i] * zero;
    }
  }
  for (size_t i = 0; i < n; ++i) scores[i] = scores[i] / sum;
}

}  // namespace

template <typename T>
void post_transform(PostTransform transform, T* scores, size_t n) {
  switch (transform) {
    case PostTransform::kNone:
      return;
    case PostTransform::kSoftmax:
      return softmax(scores, n);
    case PostTransform::kSoftmaxZero:
      return softmax_zero(scores, n);
    case PostTransform::kLogistic:
      for (size_t i = 0; i < n; ++i) scores[i] = logistic(static_cast<float>(scores[i]));
      return;
    case PostTransform::kProbit:
      for (size_t i = 0; i < n; ++i) scores[i] = probit(static_cast<float>(scores[i]));
      return;
  }
}
template void post_transform(PostTransform, float*, size_t);
template void post_transform(PostTransform, double*, size_t);

template <typename T>
bool Finish<T>::nothing() const {
  // A sum that starts at zero is never -0; the smallest and the largest may be, which + 0 makes 0.
  const bool as_is = n_targets == 1 ? post_transform != PostTransform::kProbit : post_transform == PostTransform::kNone;
  return as_is && base.empty() && aggregate == Aggregate::kSum;
}

template <typename T>
template <typename Out>
void Finish<T>::apply(T* scores, const uint8_t* hits, int64_t n_rows, Out* out) const {
  const int64_t n = n_rows * n_targets;
  if (aggregate == Aggregate::kAverage) {
    const T trees = static_cast<T>(n_trees);
    for (int64_t i = 0; i < n; ++i) scores[i] /= trees;
  }
  if (!base.empty()) {
    for (int64_t i = 0; i < n; i += n_targets)
      for (int64_t k = 0; k < n_targets; ++k)
        if (!hits || hits[i + k]) scores[i + k] += base[k];
  } else if (aggregate == Aggregate::kMin || aggregate == Aggregate::kMax ||
             (aggregate == Aggregate::kAverage && n_targets == 1)) {
    for (int64_t i = 0; i < n; ++i) scores[i] += 0;  // -0 becomes 0, also that of a mean too small for its type
  }
  // With one target onnxruntime knows no transform but this.
  if (n_targets > 1) {
    if (post_transform != PostTransform::kNone)
      for (int64_t i = 0; i < n; i += n_targets) glulam::post_transform(post_transform, scores + i, n_targets);
  } else if (post_transform == PostTransform::kProbit) {
    glulam::post_transform(post_transform, scores, n);
  }
  if (static_cast<void*>(out) != static_cast<void*>(scores))
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(scores[i]);
}

template struct Finish<float>;
template struct Finish<double>;
template void Finish<float>::apply(float*, const uint8_t*, int64_t, float*) const;
template void Finish<double>::apply(double*, const uint8_t*, int64_t, double*) const;
template void Finish<double>::apply(double*, const uint8_t*, int64_t, float*) const;

}  // namespace glulam
