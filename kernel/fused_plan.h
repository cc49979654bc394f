// A plan: an ensemble as a list of instructions, from the features to the answers of each row.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "forest.h"

namespace glulam {

// Types of a plan's numbers, as ONNX's TensorProto numbers them.
enum class Kind : int32_t { kFloat = 1, kInt64 = 7, kBool = 9, kDouble = 11 };

// Bytes of one number; throws Refused for another kind.
size_t size_of(Kind kind);

struct Constant {
  Kind kind;
  std::vector<unsigned char> bytes;
};

// Where a plan's constants and trees come from, by their numbers. May throw Refused.
class Parts {
 public:
  virtual Constant constant(int64_t number) = 0;
  virtual void tables(int64_t number, Tables<float>& out) = 0;
  virtual void tables(int64_t number, Tables<double>& out) = 0;

 protected:
  ~Parts() = default;
};

// One of the answers: its type, and its shape but for the rows.
struct Answer {
  int64_t slot;
  Kind kind;
  std::vector<int64_t> shape;
  int64_t width;
};

// The numbers are those of `_plan.py`: version, features, constants, forests, answers; each answer's slot, rank and
// shape; then the instructions, each as operation, length of the rest, type, and what the operation takes.
//
// All of it is checked when it is built: whatever the numbers are, nothing is read or written out of bounds later.
class Plan {
 public:
  // Throws Refused for a plan that is not understood or makes no sense, std::bad_alloc where memory ends.
  Plan(const std::vector<int64_t>& numbers, Kind rows, Parts& parts);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  int64_t n_features() const;
  const std::vector<Answer>& answers() const;

  // Answers rows, row-major, n_features each; out[i] takes answer i. Returns what went wrong, or null.
  const char* run(const void* rows, int64_t n_rows, void* const* out, Parallel& parallel) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

// Forests on the same rows as one, with a target for each: trees that differ in nothing but their leaves are walked
// once for all. `parts` are of one target each and checked; they are used up.
template <typename T>
Tables<T> joined(std::vector<Tables<T>>& parts);

}  // namespace glulam
