// What a model means: its attributes walked one row and one tree at a time, as the standard says it, with the sums
// in the order and the type that onnxruntime's own kernel uses on one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "model.h"

namespace glulam::fuzz {

// A model for which the standard gives no answer: a kernel must refuse it.
class Unspecified : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What one row must get.
struct Expected {
  std::vector<double> scores;
  double tolerance = 0;  // 0: the same bits
  int64_t label = -1;    // the class's place; -1: not told
};

class Reference {
 public:
  virtual ~Reference() = default;
  // Throws Unspecified.
  static std::unique_ptr<Reference> read(const Model& model);

  // `rows` is [n_rows, n_columns]. Throws Unspecified where a row's way leads nowhere.
  virtual Expected answer(const Tensor& rows, int64_t row, int64_t n_columns) const = 0;
  // False where only parts of the answer can be told: binary classification.
  virtual bool tells_scores() const = 0;
  virtual int64_t n_trees() const = 0;
};

}  // namespace glulam::fuzz
